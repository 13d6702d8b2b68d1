//! A bucket on Amazon S3, or on what speaks like it (`MinIO`, Ceph, R2 and others): things are put and got under
//! names. No broker, but it is called like SQS: signed HTTP/1.1 on kept connections that a [`Dialer`] opens. A bucket is named in
//! the path, not in the host, since a host of one's own has seldom a name for each. Names are of such characters only that
//! nothing is escaped anywhere.

mod place;

mod xml;

mod answer;

use crate::aws::{Answer, CONTENT_HASH, Client, Question, hash_in_turns};
use crate::dial::Dialer;
use crate::limits;
use crate::message::QueueError;
use crate::site::Credentials;
use answer::{is_nothing, well};
use bytes::Bytes;
use place::Place;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Bytes of an answer that says nothing but whether something went well.
const WORD_BYTES: usize = 64 << 10;

/// A bucket, or a folder in it. Clones share their connections.
///
/// What can go wrong is said as brokers' errors are: [`QueueError::NoSuchQueue`] means that there is no such bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    place: Place,
    dialer: Dialer,
    asked: Arc<Asked>,
}

#[derive(Debug)]
struct Asked {
    client: Client,
    /// As many as may be asked at once.
    room: Semaphore,
}

impl Asked {
    fn new(place: &Place, dialer: Dialer) -> Self {
        let client = Client::new(place.site.clone(), dialer, "s3", place.region.clone());
        Self { client, room: Semaphore::new(limits::S3_AT_ONCE) }
    }
}

impl Bucket {
    /// The bucket of an address; nothing is opened yet. To be used within one runtime.
    ///
    /// `s3+https://KEY:SECRET@s3.eu-central-1.amazonaws.com/bucket/prefix`, or `s3+http://` without TLS; a slash in the
    /// secret is written `%2F`. The prefix is of letters, digits and `_-.`, may be several folders, or none.
    /// `?region=…` where the host does not say it and it is not `us-east-1`. Without credentials in it, see
    /// [`with_credentials`](Self::with_credentials).
    ///
    /// # Errors
    /// [`QueueError::Failed`] where it is no such address; the text says nothing of it that may be secret.
    pub fn new(address: &str, dialer: Dialer) -> Result<Self, QueueError> {
        let place = Place::parse(address)?;
        let asked = Arc::new(Asked::new(&place, dialer.clone()));
        Ok(Self { place, dialer, asked })
    }

    /// Who we are there. Nobody: whatever is asked is refused.
    #[must_use]
    pub const fn credentials(&self) -> Option<&Credentials> {
        self.place.site.credentials.as_ref()
    }

    /// The same bucket for somebody else.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.place.site.credentials = Some(credentials);
        self.asked = Arc::new(Asked::new(&self.place, self.dialer.clone()));
        self
    }

    /// Puts something there, in the place of what was under that name. `Ok`: S3 has it, and whoever gets it sees it. A name is
    /// of `a-z0-9_-.`, with `/` between folders. Within [`limits::S3_MOVE`].
    ///
    /// # Errors
    /// [`QueueError`]; [`QueueError::TooLarge`] above [`limits::S3_BODY`]. After [`QueueError::Unreachable`] and
    /// [`QueueError::Busy`] nobody knows whether it is there.
    pub async fn put(&self, name: &str, body: Bytes) -> Result<(), QueueError> {
        let path = self.path(name)?;
        if body.len() > limits::S3_BODY {
            return Err(too_large());
        }
        let question = question("PUT", &path, &body);
        well(self.ask(question, limits::S3_MOVE).await?, self.credentials())?;
        Ok(())
    }

    /// What is there under that name; `None`: nothing. Within [`limits::S3_MOVE`].
    ///
    /// # Errors
    /// [`QueueError`]; [`QueueError::TooLarge`] where it is more than [`limits::S3_BODY`].
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>, QueueError> {
        let path = self.path(name)?;
        let question = Question { most: limits::S3_BODY, ..question("GET", &path, &NOTHING) };
        let answer = self.ask(question, limits::S3_MOVE).await?;
        if is_nothing(&answer) {
            return Ok(None);
        }
        well(answer, self.credentials())?.body.map(Some).ok_or_else(too_large)
    }

    /// Where it is, for a log.
    #[must_use]
    pub fn shown(&self) -> String {
        self.place.shown()
    }

    fn path(&self, name: &str) -> Result<String, QueueError> {
        Ok(format!("{}/{}", self.place.path(), self.place.key(name)?))
    }

    async fn ask(&self, question: Question<'_>, within: Duration) -> Result<Answer, QueueError> {
        let asking = async {
            let _room = self.asked.room.acquire().await.map_err(|_| QueueError::ended())?;
            let hash = hash_in_turns(question.body).await;
            let headers = [(CONTENT_HASH, hash.as_str())];
            self.asked.client.ask(Question { headers: &headers, ..question }, within).await
        };
        tokio::time::timeout(within, asking).await.unwrap_or_else(|_| Err(QueueError::late()))
    }
}

static NOTHING: Bytes = Bytes::new();

const fn question<'a>(method: &'a str, path: &'a str, body: &'a Bytes) -> Question<'a> {
    Question { method, path, headers: &[], body, most: WORD_BYTES }
}

fn too_large() -> QueueError {
    QueueError::TooLarge(format!("{} bytes are the most", limits::S3_BODY))
}
