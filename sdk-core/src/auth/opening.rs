//! How a solution comes by a token pair: a customer opens it, or a visitor comes by.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::http::{Call, Credential, HttpClient, SecretKey};
use crate::model::{ExchangeCode, GenerateToken, Secret, TokenPair};

pub(crate) struct Opening {
    pub(crate) http: Arc<HttpClient>,
    pub(crate) solution: String,
    pub(crate) opener: Opener,
    pub(crate) deadline: Duration,
}

/// Who opens it.
pub(crate) enum Opener {
    /// The solution's backend.
    Backend(Arc<SecretKey>),
    /// A page of the solution, by its publishable key.
    Page(Secret),
}

impl Opener {
    fn credential(&self) -> Credential<'_> {
        match self {
            Opener::Backend(key) => Credential::Solution(key),
            Opener::Page(key) => Credential::Bearer(Cow::Borrowed(key)),
        }
    }
}

impl Opening {
    /// A code is good for one exchange. The call's key makes it one however often it is sent.
    pub(crate) async fn exchange(&self, code: &str, verifier: Option<&str>) -> Result<TokenPair> {
        let code_verifier = verifier.map(Secret::new);
        let request = ExchangeCode { code: Secret::new(code), code_verifier };
        let call = Call::post("/api/exchange-code", &request).by(self.opener.credential());
        let call = call.hiding([&request.code]).hiding(&request.code_verifier);
        self.http.call(call, self.deadline).await
    }

    pub(crate) async fn welcome(&self) -> Result<TokenPair> {
        let request = GenerateToken { solution_id: self.solution.clone() };
        let call = Call::post("/api/generate-token", &request).by(self.opener.credential());
        self.http.call(call, self.deadline).await
    }
}
