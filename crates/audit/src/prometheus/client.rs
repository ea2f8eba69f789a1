//! A client of the HTTP API, on the HTTP and TLS stack that talks to Kubernetes.

use std::time::Duration;

use http::{Request, Uri, header};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::config::AuthInfo;
use serde::de::DeserializeOwned;

use super::answer::{self, Outcome};
use crate::Series;

/// Words of an answer that are shown when it is none of this API.
const SHOWN: usize = 200;

/// How to show who asks.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Login {
    /// Not at all.
    #[default]
    None,
    /// A bearer token.
    Token(String),
    /// A name and a password.
    Basic(String, String),
}

/// Where to ask, and how.
#[derive(Clone)]
pub struct Endpoint {
    /// `http://` or `https://`, with the path under which `/api/v1` is.
    pub url: String,
    /// Who asks.
    pub login: Login,
    /// Authorities to trust, DER; the system's where there is none.
    pub authorities: Option<Vec<Vec<u8>>>,
    /// Whether any certificate will do.
    pub insecure: bool,
    /// How long one answer may take.
    pub timeout: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is none.
    #[error("`{0}` is not the address of a Prometheus server; write one such as http://prometheus.monitoring:9090")]
    Address(String),
    /// The client could not be made.
    #[error("cannot prepare a connection to {url}: {why}")]
    Prepare {
        /// Where.
        url: String,
        /// What kube says.
        why: String,
    },
    /// Nobody answers.
    #[error("cannot reach Prometheus at {url}: {why}")]
    Unreachable {
        /// Where.
        url: String,
        /// The causes, one behind the other.
        why: String,
    },
    /// It takes too long.
    #[error(
        "Prometheus at {url} did not answer within {seconds} s; raise --timeout, or ask for less with --window and --step"
    )]
    Slow {
        /// Where.
        url: String,
        /// The limit.
        seconds: u64,
    },
    /// It wants to know who asks, or does not like the answer.
    #[error("Prometheus at {url} answers {code}: log in with --token-file, or --username and --password-file")]
    Login {
        /// Where.
        url: String,
        /// 401 or 403.
        code: u16,
    },
    /// Something else answers.
    #[error("what answers {code} at {url} is not Prometheus' HTTP API: {shown}")]
    Foreign {
        /// Where.
        url: String,
        /// The status.
        code: u16,
        /// How it begins.
        shown: String,
    },
    /// The server says no.
    #[error("Prometheus refuses a query ({kind}): {message}")]
    Refused {
        /// `bad_data`, `timeout`, `execution` and others.
        kind: String,
        /// In words.
        message: String,
    },
}

impl ClientError {
    /// Whether a smaller question may be answered: the server gave up on the amount.
    pub fn is_too_much(&self) -> bool {
        match self {
            ClientError::Slow { .. } => true,
            ClientError::Refused { kind, message } => kind == "timeout" || message.contains("too many samples"),
            ClientError::Foreign { code, .. } => matches!(code, 413 | 414 | 502 | 504),
            _ => false,
        }
    }
}

/// A client of one server.
#[derive(Clone)]
pub struct Client {
    inner: kube::Client,
    url: String,
    timeout: Duration,
}

impl Client {
    /// Prepares a client; nothing is asked yet. Needs a runtime.
    pub fn new(endpoint: Endpoint) -> Result<Self, ClientError> {
        let url = endpoint.url.trim_end_matches('/').to_owned();
        let bad = || ClientError::Address(endpoint.url.clone());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() || uri.query().is_some() {
            return Err(bad());
        }
        let mut config = kube::Config::new(uri);
        config.root_cert = endpoint.authorities;
        config.accept_invalid_certs = endpoint.insecure;
        config.connect_timeout = Some(Duration::from_secs(10));
        config.read_timeout = None;
        // Whether a question is asked again is decided here, with another one.
        config.default_retry = false;
        config.auth_info = match endpoint.login {
            Login::None => AuthInfo::default(),
            Login::Token(token) => AuthInfo {
                token: Some(token.into()),
                ..AuthInfo::default()
            },
            Login::Basic(name, password) => AuthInfo {
                username: Some(name),
                password: Some(password.into()),
                ..AuthInfo::default()
            },
        };
        let inner = kube::Client::try_from(config).map_err(|error| ClientError::Prepare {
            url: url.clone(),
            why: error.to_string(),
        })?;
        Ok(Client {
            inner,
            url,
            timeout: endpoint.timeout,
        })
    }

    /// The values of a label on the series that match, within a time.
    pub async fn label_values(
        &self,
        label: &str,
        matching: &str,
        span: (i64, i64),
    ) -> Result<Vec<String>, ClientError> {
        let query = encoded(&[
            ("match[]", matching),
            ("start", &span.0.to_string()),
            ("end", &span.1.to_string()),
        ]);
        let request = Request::get(format!("/api/v1/label/{label}/values?{query}")).body(Body::empty());
        self.ask(request).await
    }

    /// The value of an expression just before a moment: for ranges that end there.
    pub async fn before(&self, expression: &str, moment: i64) -> Result<Vec<Series>, ClientError> {
        let form = encoded(&[
            ("query", expression),
            ("time", &just_before(moment)),
            ("timeout", &format!("{}s", self.timeout.as_secs())),
        ]);
        self.query("/api/v1/query", form).await
    }

    /// The values of an expression just before each moment of a span, so many seconds apart.
    pub async fn before_each(&self, expression: &str, span: (i64, i64), step: u64) -> Result<Vec<Series>, ClientError> {
        let form = encoded(&[
            ("query", expression),
            ("start", &just_before(span.0)),
            ("end", &just_before(span.1)),
            ("step", &step.to_string()),
            ("timeout", &format!("{}s", self.timeout.as_secs())),
        ]);
        self.query("/api/v1/query_range", form).await
    }

    /// Posts, since the names of many nodes make a long question.
    async fn query(&self, path: &str, form: String) -> Result<Vec<Series>, ClientError> {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form.into_bytes()));
        Ok(self.ask::<Outcome>(request).await?.into_series())
    }

    async fn ask<T: DeserializeOwned>(&self, request: http::Result<Request<Body>>) -> Result<T, ClientError> {
        let url = || self.url.clone();
        let unreachable = |error: &dyn std::error::Error| ClientError::Unreachable {
            url: url(),
            why: causes(error),
        };
        let request = request.map_err(|error| unreachable(&error))?;
        let whole = async {
            let answer = self.inner.send(request).await.map_err(|error| unreachable(&error))?;
            let code = answer.status().as_u16();
            let body = answer
                .into_body()
                .collect()
                .await
                .map_err(|error| unreachable(&error))?;
            Ok((code, body.to_bytes()))
        };
        let (code, body) = tokio::time::timeout(self.timeout, whole)
            .await
            .map_err(|_| ClientError::Slow {
                url: url(),
                seconds: self.timeout.as_secs(),
            })??;
        match answer::read::<T>(&body) {
            Some(frame) if frame.status == "success" => frame.data.ok_or_else(|| self.foreign(code, &body)),
            Some(frame) => Err(ClientError::Refused {
                kind: frame.error_type,
                message: frame.error,
            }),
            None if matches!(code, 401 | 403) => Err(ClientError::Login { url: url(), code }),
            None => Err(self.foreign(code, &body)),
        }
    }

    fn foreign(&self, code: u16, body: &[u8]) -> ClientError {
        let text = String::from_utf8_lossy(body);
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        ClientError::Foreign {
            url: self.url.clone(),
            code,
            shown: if line.is_empty() {
                "nothing".to_owned()
            } else {
                line.chars().take(SHOWN).collect()
            },
        }
    }
}

/// An error with what brought it about, each thing once.
pub fn causes(error: &dyn std::error::Error) -> String {
    let first = error.to_string();
    // kube's name for whatever its HTTP stack says.
    let mut all = vec![first.strip_prefix("ServiceError: ").unwrap_or(&first).to_owned()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        // Many errors of this stack repeat their cause.
        if !all.iter().any(|known| known.contains(&text)) {
            all.push(text);
        }
        next = cause.source();
    }
    all.join(": ")
}

/// A millisecond before a moment. A range that ends there and begins as much before a step has the same steps in it for a server that
/// counts both ends of a range (Prometheus 2) as for one that counts the later alone (Prometheus 3).
fn just_before(moment: i64) -> String {
    format!("{}.999", moment - 1)
}

/// A digit of a hexadecimal number.
fn hex(digit: u8) -> char {
    char::from_digit(digit.into(), 16).map_or('0', |digit| digit.to_ascii_uppercase())
}

/// `application/x-www-form-urlencoded`.
fn encoded(pairs: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (key, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        for (at, part) in [key, value].into_iter().enumerate() {
            if at > 0 {
                text.push('=');
            }
            for byte in part.bytes() {
                match byte {
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => text.push(char::from(byte)),
                    _ => text.extend(['%', hex(byte >> 4), hex(byte & 15)]),
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_encoded() {
        assert_eq!(
            encoded(&[("match[]", r#"{a="b c"}"#), ("n", "1+1")]),
            "match%5B%5D=%7Ba%3D%22b%20c%22%7D&n=1%2B1"
        );
    }
}
