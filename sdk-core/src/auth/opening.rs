//! How a solution comes by a token pair: a customer opens it, or a visitor comes by.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::http::{Call, HttpClient, SecretKey};
use crate::model::{ExchangeCode, GenerateToken, Secret, TokenPair};

pub(crate) struct Opening {
    pub(crate) http: Arc<HttpClient>,
    pub(crate) solution: String,
    pub(crate) secret_key: Arc<SecretKey>,
    pub(crate) deadline: Duration,
}

impl Opening {
    /// A code is good for one exchange. The call's key makes it one however often it is sent.
    pub(crate) async fn exchange(&self, code: &str, verifier: Option<&str>) -> Result<TokenPair> {
        let code_verifier = verifier.map(Secret::new);
        let request = ExchangeCode { code: Secret::new(code), code_verifier };
        let call = Call::post("/api/exchange-code", &request)?.with_key(&self.secret_key);
        let call = call.hiding([&request.code]).hiding(&request.code_verifier);
        self.http.call(call, self.deadline).await
    }

    pub(crate) async fn welcome(&self) -> Result<TokenPair> {
        let request = GenerateToken { solution_id: self.solution.clone() };
        let call = Call::post("/api/generate-token", &request)?.with_key(&self.secret_key);
        self.http.call(call, self.deadline).await
    }
}
