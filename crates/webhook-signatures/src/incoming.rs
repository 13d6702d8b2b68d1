//! A request as it arrived: what every check reads and nothing changes.

/// An ordered list of headers, duplicates kept. Implement it for your own list; nothing is copied.
pub trait Headers {
    /// The header at `index`, or `None` past the end. Names may be in any case; values are any bytes.
    fn at(&self, index: usize) -> Option<(&str, &[u8])>;
}

impl<N: AsRef<str>, V: AsRef<[u8]>> Headers for [(N, V)] {
    fn at(&self, index: usize) -> Option<(&str, &[u8])> {
        self.get(index).map(|(name, value)| (name.as_ref(), value.as_ref()))
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> Headers for &[(N, V)] {
    fn at(&self, index: usize) -> Option<(&str, &[u8])> {
        (**self).at(index)
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>, const COUNT: usize> Headers for [(N, V); COUNT] {
    fn at(&self, index: usize) -> Option<(&str, &[u8])> {
        self.as_slice().at(index)
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> Headers for Vec<(N, V)> {
    fn at(&self, index: usize) -> Option<(&str, &[u8])> {
        self.as_slice().at(index)
    }
}

/// One inbound request.
#[derive(Clone, Copy)]
pub struct Incoming<'a> {
    /// The method, for example `POST`.
    pub method: &'a str,
    /// The **public** URL, the one that the provider called, with its raw query exactly as sent: scheme, host, port
    /// if it was written, path, query. Behind a proxy this is built from the configured public address.
    pub url: &'a str,
    /// All headers as they came.
    pub headers: &'a dyn Headers,
    /// The body's raw bytes, before any decoding: also before `Content-Encoding` is undone.
    pub body: &'a [u8],
}

impl std::fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.url.split('?').next().unwrap_or_default();
        write!(f, "Incoming({} {path}, {} bytes)", self.method, self.body.len())
    }
}

impl<'a> Incoming<'a> {
    /// Every header, in order.
    pub fn each_header(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let headers = self.headers;
        (0..).map_while(move |index| headers.at(index))
    }

    /// All values of a header, in order; the name in any case.
    pub fn values<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.each_header()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.values(name).next()
    }

    /// The first value of a header if it is UTF-8.
    #[must_use]
    pub fn header_str(&self, name: &str) -> Option<&'a str> {
        std::str::from_utf8(self.header(name)?).ok()
    }

    /// The first value of a query parameter, decoded.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<Vec<u8>> {
        crate::form::value(crate::form::query(self.url).as_bytes(), name)
    }

    /// What parts the fields of a body that says it is `multipart/form-data`.
    pub(crate) fn boundary(&self) -> Option<&'a str> {
        crate::multipart::boundary(self.header_str("content-type")?)
    }

    /// Whether the body says it is a urlencoded form.
    #[must_use]
    pub fn is_form(&self) -> bool {
        let kind = self.header_str("content-type").unwrap_or_default();
        let form = "application/x-www-form-urlencoded";
        kind.get(..form.len()).is_some_and(|head| head.eq_ignore_ascii_case(form))
    }
}
