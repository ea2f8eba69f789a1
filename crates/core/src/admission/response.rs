//! The wire format of `admission.k8s.io/v1` answers.

use base64::Engine as _;
use serde::Serialize;

use super::review::{API_VERSION, KIND};
use crate::patch::Patch;

/// An `AdmissionResponse`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response {
    /// `None` if the request is allowed.
    pub denial: Option<Rejection>,
    pub patch: Patch,
    /// For the user, as HTTP Warning headers.
    pub warnings: Vec<String>,
    /// Audit annotations. Keys have no `/`, because the API server prefixes them with the webhook's
    /// name.
    pub audit: Vec<(&'static str, String)>,
}

/// Why a request is denied: a `metav1.Status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The HTTP status, 400 or above.
    pub code: u16,
    /// A `metav1.StatusReason`.
    pub reason: &'static str,
    /// For the user.
    pub message: String,
}

impl Response {
    /// The `AdmissionReview` for the request with this UID.
    pub fn to_json(&self, uid: &str) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Review<'r> {
            kind: &'static str,
            api_version: &'static str,
            response: Body<'r>,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'r> {
            uid: &'r str,
            allowed: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            status: Option<Status<'r>>,
            // The API server rejects one without the other.
            #[serde(skip_serializing_if = "Option::is_none")]
            patch_type: Option<&'static str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            patch: Option<String>,
            #[serde(skip_serializing_if = "<[String]>::is_empty")]
            warnings: &'r [String],
            #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
            audit_annotations: serde_json::Map<String, serde_json::Value>,
        }
        #[derive(Serialize)]
        struct Status<'r> {
            code: u16,
            message: &'r str,
            reason: &'r str,
        }
        // Operations contain only strings and trees of strings, which always serialize.
        let patch = (!self.patch.is_empty())
            .then(|| serde_json::to_vec(&self.patch).ok())
            .flatten()
            .map(|json| base64::engine::general_purpose::STANDARD.encode(json));
        let review = Review {
            kind: KIND,
            api_version: API_VERSION,
            response: Body {
                uid,
                allowed: self.denial.is_none(),
                status: self.denial.as_ref().map(|denial| Status {
                    code: denial.code,
                    message: &denial.message,
                    reason: denial.reason,
                }),
                patch_type: patch.is_some().then_some("JSONPatch"),
                patch,
                warnings: &self.warnings,
                audit_annotations: self
                    .audit
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), serde_json::Value::String(value.clone())))
                    .collect(),
            },
        };
        serde_json::to_vec(&review).unwrap_or_default()
    }
}
