//! The task of one connection: answers come in the order of the questions.

use super::resp::{self, Reply};
use crate::dial::Stream;
use crate::limits;
use crate::message::QueueError;
use crate::wire::Wire;
use bytes::BytesMut;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

const COMMANDS: usize = 256;

static NUMBERS: AtomicU64 = AtomicU64::new(1);

#[derive(Debug)]
struct Question {
    bytes: BytesMut,
    answer: oneshot::Sender<Reply>,
}

/// A connection, as its users have it.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(super) number: u64,
    questions: mpsc::Sender<Question>,
    ended: Arc<OnceLock<QueueError>>,
}

impl Line {
    pub(super) fn lives(&self) -> bool {
        !self.questions.is_closed()
    }

    fn why(&self) -> QueueError {
        self.ended.get().cloned().unwrap_or_else(QueueError::ended)
    }

    pub(super) async fn ask(&self, words: &[&str]) -> Result<Reply, QueueError> {
        self.ask_words(words, limits::ANSWER).await
    }

    pub(super) async fn ask_within(
        &self,
        words: &[&str],
        time: Duration,
    ) -> Result<Reply, QueueError> {
        self.ask_words(words, time).await
    }

    pub(super) async fn ask_words<T: AsRef<[u8]> + Sync>(
        &self,
        words: &[T],
        time: Duration,
    ) -> Result<Reply, QueueError> {
        let mut bytes = BytesMut::new();
        resp::command(&mut bytes, words);
        let (answer, answered) = oneshot::channel();
        let asking = async {
            self.questions.send(Question { bytes, answer }).await.map_err(|_| self.why())?;
            answered.await.map_err(|_| self.why())
        };
        match tokio::time::timeout(time, asking).await {
            Ok(Ok(Reply::Error(text))) => Err(resp::error(text)),
            Ok(done) => done,
            Err(_) => Err(QueueError::late()),
        }
    }
}

pub(super) fn start(stream: Stream) -> Line {
    let (questions, mut asked) = mpsc::channel(COMMANDS);
    let ended = Arc::new(OnceLock::new());
    let why = Arc::clone(&ended);
    tokio::spawn(async move {
        let error = run(Wire::new(stream), &mut asked).await;
        drop(why.set(error));
    });
    Line { number: NUMBERS.fetch_add(1, Ordering::Relaxed), questions, ended }
}

async fn run(mut wire: Wire, asked: &mut mpsc::Receiver<Question>) -> QueueError {
    let mut waiting: VecDeque<oneshot::Sender<Reply>> = VecDeque::new();
    loop {
        loop {
            match resp::next(&mut wire.came) {
                Ok(Some(reply)) => match waiting.pop_front() {
                    Some(answer) => drop(answer.send(reply)),
                    None => return QueueError::odd("an answer to nothing"),
                },
                Ok(None) => break,
                Err(error) => return error,
            }
        }
        // Whoever asked has stopped waiting: nothing may come any more, and what does come would be taken for another's.
        if waiting.front().is_some_and(oneshot::Sender::is_closed) {
            return QueueError::late();
        }
        let room = wire.has_room() && waiting.len() < limits::IN_FLIGHT;
        tokio::select! {
            turned = wire.turn() => if let Err(error) = turned {
                return error;
            },
            question = asked.recv(), if room => match question {
                Some(Question { bytes, answer }) => {
                    wire.out.extend_from_slice(&bytes);
                    waiting.push_back(answer);
                }
                None => return QueueError::ended(),
            },
            () = gone(waiting.front_mut()), if !waiting.is_empty() => return QueueError::late(),
        }
    }
}

async fn gone(answer: Option<&mut oneshot::Sender<Reply>>) {
    if let Some(answer) = answer {
        answer.closed().await;
    }
}
