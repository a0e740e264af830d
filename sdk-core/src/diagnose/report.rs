//! What a diagnosis says, and how it is printed.

use std::fmt;

use crate::model::Code;

/// What [`diagnose`](crate::MarketplaceSdk::diagnose) found. Prints as a page to read, and holds no
/// secret.
///
/// ```
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
/// # example::run(async |sdk, _token, _pair| {
/// use cloudnestle_marketplace::Severity;
///
/// let diagnosis = sdk.diagnose().await;
/// println!("{diagnosis}");
/// assert_eq!(diagnosis.severity(), Severity::Good);
/// # Ok(()) });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnosis {
    /// The marketplace's URL.
    pub url: String,
    /// The solution the SDK is set up for.
    pub solution_id: String,
    /// What was looked at, in order. When the marketplace can't be reached, what it would have been
    /// asked is not among it.
    pub findings: Vec<Finding>,
}

/// What was found about one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What was looked at.
    pub check: Check,
    /// How bad it is.
    pub severity: Severity,
    /// The error that calls meet because of it, if they do.
    pub code: Option<Code>,
    /// What was found.
    pub message: String,
    /// What to do about it, unless it is good.
    pub advice: Option<&'static str>,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Check {
    /// Whether the marketplace can be reached, and how long it takes to answer.
    Reach,
    /// Whether both sides speak the same version of the API.
    Version,
    /// Whether this machine's clock agrees with the marketplace's.
    Clock,
    /// Whether there are keys to check tokens by.
    Keys,
    /// Whether the marketplace issues its tokens under the name this program expects.
    Issuer,
    /// Whether the marketplace accepts the secret key, for this solution.
    SecretKey,
    /// How old what is known of revocations is. Not looked at where the feed is not used, or the key is
    /// not accepted.
    Feed,
    /// Whether the spool can be written, and what waits there.
    Spool,
}

/// How bad something is. The worst is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// As it should be.
    Good,
    /// It works, and somebody should look at it.
    Warning,
    /// Calls fail because of it.
    Bad,
}

impl Diagnosis {
    /// How bad the worst finding is.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/doctest.rs")); }
    /// # example::run(async |sdk, _token, _pair| {
    /// use cloudnestle_marketplace::Severity;
    ///
    /// if sdk.diagnose().await.severity() == Severity::Bad {
    ///     eprintln!("this program is not ready");
    /// #   unreachable!();
    /// }
    /// # Ok(()) });
    /// ```
    pub fn severity(&self) -> Severity {
        self.findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Good)
    }
}

impl Finding {
    pub(super) fn good(check: Check, message: impl Into<String>) -> Finding {
        let message = message.into();
        Finding { check, severity: Severity::Good, code: None, message, advice: None }
    }

    pub(super) fn warning(check: Check, message: impl Into<String>) -> Finding {
        Finding { severity: Severity::Warning, ..Finding::good(check, message) }
    }

    /// With the advice of the catalogue.
    pub(super) fn bad(check: Check, code: Code, message: impl Into<String>) -> Finding {
        let (severity, code, advice) = (Severity::Bad, Some(code), Some(code.advice()));
        Finding { severity, code, advice, ..Finding::good(check, message) }
    }

    pub(super) fn advising(self, advice: &'static str) -> Finding {
        Finding { advice: Some(advice), ..self }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = env!("CARGO_PKG_VERSION");
        writeln!(
            f,
            "CloudNestle Marketplace SDK {version} for {} at {}",
            self.solution_id, self.url
        )?;
        self.findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<8}{:<11}{}",
            self.severity.to_string(),
            self.check.to_string(),
            self.message
        )?;
        if let Some(code) = self.code {
            write!(f, " [{code}]")?;
        }
        match self.advice {
            Some(advice) => write!(f, "\n{:19}{advice}", ""),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Check::Reach => "reach",
            Check::Version => "version",
            Check::Clock => "clock",
            Check::Keys => "keys",
            Check::Issuer => "issuer",
            Check::SecretKey => "secret key",
            Check::Feed => "feed",
            Check::Spool => "spool",
        })
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Good => "good",
            Severity::Warning => "warning",
            Severity::Bad => "bad",
        })
    }
}
