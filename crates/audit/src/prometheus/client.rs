//! An HTTP client that reuses kube's HTTP and TLS stack, so that the binary contains only one.

use std::time::Duration;

use form_urlencoded::Serializer;
use http::{Request, Uri, header};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::config::AuthInfo;
use serde::de::DeserializeOwned;

use super::response::{self, QueryResult, Series, Status};

/// How many characters of a foreign response an error message quotes.
const QUOTED_CHARS: usize = 200;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How the client authenticates.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    #[default]
    None,
    Token(String),
    Basic {
        username: String,
        password: String,
    },
}

/// A Prometheus server and how to connect to it.
#[derive(Clone)]
pub struct Endpoint {
    /// `http://` or `https://`, with the path that `/api/v1` follows.
    pub url: String,
    pub credentials: Credentials,
    /// Trusted certificate authorities in DER. `None` means those of the system.
    pub certificate_authorities: Option<Vec<Vec<u8>>>,
    /// Whether to accept any server certificate.
    pub insecure: bool,
    /// Limit for one request, including its response body.
    pub timeout: Duration,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("`{0}` is not the address of a Prometheus server; write one such as http://prometheus.monitoring:9090")]
    Address(String),
    #[error("cannot prepare a connection to {url}: {cause}")]
    Prepare { url: String, cause: String },
    /// `cause` is the whole chain of errors.
    #[error("cannot reach Prometheus at {url}: {cause}")]
    Unreachable { url: String, cause: String },
    #[error(
        "Prometheus at {url} did not answer within {seconds} s; raise --timeout, or reduce the query with --window and --step"
    )]
    Timeout { url: String, seconds: u64 },
    /// HTTP status 401 or 403.
    #[error("Prometheus at {url} answers {code}: log in with --token-file, or --username and --password-file")]
    Unauthorized { url: String, code: u16 },
    /// The response does not follow the API: another program answers, or a proxy.
    #[error("the server that answers {code} at {url} is not Prometheus' HTTP API: {body}")]
    Foreign { url: String, code: u16, body: String },
    /// Prometheus reports an error; `kind` is its `errorType`.
    #[error("Prometheus refuses a query ({kind}): {message}")]
    Rejected { kind: String, message: String },
}

impl ClientError {
    /// Whether the server gave up on the amount of data, so that a smaller query may succeed.
    pub fn is_too_large(&self) -> bool {
        match self {
            ClientError::Timeout { .. } => true,
            // The sample limit has no `errorType` of its own: Prometheus reports it as `execution`.
            ClientError::Rejected { kind, message } => kind == "timeout" || message.contains("too many samples"),
            ClientError::Foreign { code, .. } => matches!(code, 413 | 414 | 502 | 504),
            _ => false,
        }
    }
}

/// A client for one server.
#[derive(Clone)]
pub struct Client {
    http: kube::Client,
    url: String,
    timeout: Duration,
}

impl Client {
    /// Prepares a client without connecting. Must be called within a Tokio runtime.
    pub fn new(endpoint: Endpoint) -> Result<Self, ClientError> {
        let url = endpoint.url.trim_end_matches('/').to_owned();
        let bad_address = || ClientError::Address(endpoint.url.clone());
        let uri: Uri = url.parse().map_err(|_| bad_address())?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() || uri.query().is_some() {
            return Err(bad_address());
        }
        let mut config = kube::Config::new(uri);
        config.root_cert = endpoint.certificate_authorities;
        config.accept_invalid_certs = endpoint.insecure;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = None;
        // The caller decides about retries: it repeats a query that is too large in parts.
        config.default_retry = false;
        config.auth_info = match endpoint.credentials {
            Credentials::None => AuthInfo::default(),
            Credentials::Token(token) => AuthInfo {
                token: Some(token.into()),
                ..AuthInfo::default()
            },
            Credentials::Basic { username, password } => AuthInfo {
                username: Some(username),
                password: Some(password.into()),
                ..AuthInfo::default()
            },
        };
        let http = kube::Client::try_from(config).map_err(|error| ClientError::Prepare {
            url: url.clone(),
            cause: error.to_string(),
        })?;
        Ok(Client {
            http,
            url,
            timeout: endpoint.timeout,
        })
    }

    /// Returns the values that `label` has on series that match `selector`, within the range
    /// (start and end in seconds since the epoch).
    pub async fn label_values(
        &self,
        label: &str,
        selector: &str,
        (start, end): (i64, i64),
    ) -> Result<Vec<String>, ClientError> {
        let query = form(&[
            ("match[]", selector),
            ("start", &start.to_string()),
            ("end", &end.to_string()),
        ]);
        let request = Request::get(format!("/api/v1/label/{label}/values?{query}")).body(Body::empty());
        self.send(request).await
    }

    /// Evaluates an expression just before `time`, so that a range in it ends there.
    pub async fn query(&self, expression: &str, time: i64) -> Result<Vec<Series>, ClientError> {
        let form = form(&[
            ("query", expression),
            ("time", &just_before(time)),
            ("timeout", &self.server_timeout()),
        ]);
        self.post("/api/v1/query", form).await
    }

    /// Evaluates an expression just before `start`, `end` and every `step` seconds in between.
    pub async fn query_range(
        &self,
        expression: &str,
        (start, end): (i64, i64),
        step: u64,
    ) -> Result<Vec<Series>, ClientError> {
        let form = form(&[
            ("query", expression),
            ("start", &just_before(start)),
            ("end", &just_before(end)),
            ("step", &step.to_string()),
            ("timeout", &self.server_timeout()),
        ]);
        self.post("/api/v1/query_range", form).await
    }

    /// The server gives up after the same time as the client.
    fn server_timeout(&self) -> String {
        format!("{}s", self.timeout.as_secs())
    }

    /// Sends a query as POST: with many node names it is too long for a URL.
    async fn post(&self, path: &str, form: String) -> Result<Vec<Series>, ClientError> {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form.into_bytes()));
        Ok(self.send::<QueryResult>(request).await?.into_series())
    }

    async fn send<T: DeserializeOwned>(&self, request: http::Result<Request<Body>>) -> Result<T, ClientError> {
        let unreachable = |error: &dyn std::error::Error| ClientError::Unreachable {
            url: self.url.clone(),
            cause: chain(error),
        };
        let request = request.map_err(|error| unreachable(&error))?;
        let exchange = async {
            let response = self.http.send(request).await.map_err(|error| unreachable(&error))?;
            let code = response.status().as_u16();
            let body = response
                .into_body()
                .collect()
                .await
                .map_err(|error| unreachable(&error))?;
            Ok((code, body.to_bytes()))
        };
        let (code, body) = tokio::time::timeout(self.timeout, exchange)
            .await
            .map_err(|_| ClientError::Timeout {
                url: self.url.clone(),
                seconds: self.timeout.as_secs(),
            })??;
        match response::parse::<T>(&body) {
            Some(envelope) if envelope.status == Status::Success => {
                envelope.data.ok_or_else(|| self.foreign(code, &body))
            }
            Some(envelope) => Err(ClientError::Rejected {
                kind: envelope.error_type,
                message: envelope.error,
            }),
            None if matches!(code, 401 | 403) => Err(ClientError::Unauthorized {
                url: self.url.clone(),
                code,
            }),
            None => Err(self.foreign(code, &body)),
        }
    }

    fn foreign(&self, code: u16, body: &[u8]) -> ClientError {
        let text = String::from_utf8_lossy(body);
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        ClientError::Foreign {
            url: self.url.clone(),
            code,
            body: if line.is_empty() {
                "(empty body)".to_owned()
            } else {
                line.chars().take(QUOTED_CHARS).collect()
            },
        }
    }
}

/// An error and its sources in one line, without those that an earlier part repeats.
fn chain(error: &dyn std::error::Error) -> String {
    let first = error.to_string();
    // kube's prefix for every error of its HTTP stack.
    let mut parts = vec![first.strip_prefix("ServiceError: ").unwrap_or(&first).to_owned()];
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        // Many errors of this stack include the text of their source.
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        source = error.source();
    }
    parts.join(": ")
}

/// A millisecond before `time`.
///
/// Prometheus 2 includes both ends of a range, Prometheus 3 only the later one. A range that starts
/// and ends a millisecond before a step contains the same steps in both.
fn just_before(time: i64) -> String {
    format!("{}.999", time - 1)
}

fn form(pairs: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_escapes_selectors() {
        assert_eq!(
            form(&[("match[]", r#"{a="b c"}"#), ("n", "1+1")]),
            "match%5B%5D=%7Ba%3D%22b+c%22%7D&n=1%2B1"
        );
    }

    #[test]
    fn chain_omits_repeated_sources() {
        #[derive(Debug, thiserror::Error)]
        #[error("{text}")]
        struct Outer {
            text: &'static str,
            source: std::io::Error,
        }
        for (text, expected) in [
            ("ServiceError: send failed", "send failed: connection refused"),
            ("send failed: connection refused", "send failed: connection refused"),
        ] {
            let source = std::io::Error::other("connection refused");
            assert_eq!(chain(&Outer { text, source }), expected);
        }
    }
}
