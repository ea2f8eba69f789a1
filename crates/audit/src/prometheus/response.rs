//! Responses of the HTTP API (`/api/v1`).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// One time series of a query result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    pub labels: BTreeMap<String, String>,
    /// Timestamps in seconds since the epoch, with the value at that time.
    pub points: Vec<(i64, f64)>,
}

/// The object that wraps every response.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Envelope<T> {
    pub(super) status: Status,
    pub(super) data: Option<T>,
    /// Such as `bad_data`, `timeout` or `execution`.
    #[serde(default)]
    pub(super) error_type: String,
    #[serde(default)]
    pub(super) error: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Success,
    Error,
}

/// The `data` of `/query` and `/query_range`.
#[derive(Debug, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub(super) enum QueryResult {
    Vector(Vec<InstantSeries>),
    Matrix(Vec<RangeSeries>),
}

#[derive(Debug, Deserialize)]
pub(super) struct InstantSeries {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

#[derive(Debug, Deserialize)]
pub(super) struct RangeSeries {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

impl QueryResult {
    pub(super) fn into_series(self) -> Vec<Series> {
        match self {
            QueryResult::Vector(vector) => vector
                .into_iter()
                .map(|series| Series {
                    labels: series.metric,
                    points: vec![point(&series.value)],
                })
                .collect(),
            QueryResult::Matrix(matrix) => matrix
                .into_iter()
                .map(|series| Series {
                    labels: series.metric,
                    points: series.values.iter().map(point).collect(),
                })
                .collect(),
        }
    }
}

/// Rounds the time to seconds, because queries are evaluated a millisecond before a full second.
/// The API writes values as strings, since JSON has no `NaN`. An unreadable value becomes `NaN`.
fn point((time, value): &(f64, String)) -> (i64, f64) {
    #[allow(clippy::cast_possible_truncation)]
    let time = time.round() as i64;
    (time, value.parse().unwrap_or(f64::NAN))
}

/// Parses a response body. Returns `None` if it is not a response of this API.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Option<Envelope<T>> {
    serde_json::from_slice(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_vectors_matrices_and_errors() {
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[12.0,"NaN"]}]},"warnings":["x"]}"#;
        let series = parse::<QueryResult>(body).unwrap().data.unwrap().into_series();
        assert_eq!(series[0].labels["a"], "b");
        assert!(series[0].points[0].0 == 12 && series[0].points[0].1.is_nan());
        let body = br#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"],[3.001,"+Inf"]]}]}}"#;
        let series = parse::<QueryResult>(body).unwrap().data.unwrap().into_series();
        assert_eq!(series[0].points, [(1, 2.0), (3, f64::INFINITY)]);
        let envelope = parse::<QueryResult>(br#"{"status":"error","errorType":"bad_data","error":"no"}"#).unwrap();
        assert_eq!(envelope.status, Status::Error);
        assert_eq!(
            (envelope.error_type.as_str(), envelope.error.as_str()),
            ("bad_data", "no")
        );
        assert!(envelope.data.is_none());
        assert!(parse::<QueryResult>(b"<html>").is_none());
    }
}
