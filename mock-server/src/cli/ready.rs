//! What a starting server says: to people on the terminal, to programs in a file.

use std::error::Error;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use cloudnestle_marketplace::model::Secret;
use cloudnestle_mock_server::{CustomerInfo, MockServer, SolutionInfo};
use serde::Serialize;

/// The world, with its keys: they are of this server alone, and for tests.
#[derive(Serialize)]
pub(super) struct Ready {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    control_token: Option<Secret>,
    admin_key: Secret,
    solutions: Vec<ReadySolution>,
    customers: Vec<CustomerInfo>,
}

#[derive(Serialize)]
struct ReadySolution {
    #[serde(flatten)]
    solution: SolutionInfo,
    /// Whose the token pair is.
    #[cfg(feature = "control")]
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<String>,
    /// What a customer has just been handed for it, to try it with.
    #[cfg(feature = "control")]
    #[serde(skip_serializing_if = "Option::is_none")]
    token_pair: Option<cloudnestle_marketplace::model::TokenPair>,
}

impl Ready {
    #[cfg(feature = "control")]
    pub(super) async fn of(server: &MockServer) -> Result<Ready, Box<dyn Error>> {
        use cloudnestle_marketplace::model::Tier;

        let customers = server.customers();
        let mut solutions = Vec::new();
        for solution in server.solutions() {
            // Somebody who is registered, if there is one, because that has limits; rather anybody
            // with a name than a visitor.
            let subscribers = customers.iter().filter_map(|customer| {
                let tier = customer.subscriptions.get(&solution.id)?;
                Some((*tier == Tier::Anonymous, *tier != Tier::Registered, &customer.id))
            });
            let holder = subscribers.min().map(|(.., customer)| customer.clone());
            let token_pair = match &holder {
                Some(customer) => Some(server.token_pair(customer, &solution.id).await?),
                None => None,
            };
            solutions.push(ReadySolution { solution, holder, token_pair });
        }
        let control_token = Some(server.control_token().clone());
        let (url, admin_key) = (server.url().to_owned(), server.admin_key());
        Ok(Ready { url, control_token, admin_key, solutions, customers })
    }

    #[cfg(not(feature = "control"))]
    pub(super) async fn of(server: &MockServer) -> Result<Ready, Box<dyn Error>> {
        let solutions = server.solutions().into_iter().map(|solution| ReadySolution { solution });
        Ok(Ready {
            url: server.url().to_owned(),
            control_token: None,
            admin_key: server.admin_key(),
            solutions: solutions.collect(),
            customers: server.customers(),
        })
    }

    /// For people.
    pub(super) fn banner(&self, database: Option<&Path>) -> String {
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = self.write_banner(&mut text, database);
        text
    }

    fn write_banner(&self, text: &mut String, database: Option<&Path>) -> std::fmt::Result {
        writeln!(text, "CloudNestle marketplace at {0}\nAPI page: {0}/", self.url)?;
        match database {
            Some(path) => writeln!(text, "Database: {}", path.display())?,
            None => writeln!(text, "Database: none, everything is forgotten at the end")?,
        }
        writeln!(text, "\nSolutions and their secret keys")?;
        for ReadySolution { solution, .. } in &self.solutions {
            writeln!(text, "  {:18} {}", solution.id, solution.secret_key.expose())?;
        }
        writeln!(
            text,
            "\nThe marketplace's own key\n  {:18} {}",
            "admin",
            self.admin_key.expose()
        )?;
        writeln!(text, "\nCustomers and their tiers")?;
        for customer in &self.customers {
            let tiers = customer.subscriptions.iter().map(|(solution, tier)| {
                format!("{} in {solution}", format!("{tier:?}").to_lowercase())
            });
            writeln!(text, "  {:18} {}", customer.id, tiers.collect::<Vec<_>>().join(", "))?;
        }
        #[cfg(feature = "control")]
        self.write_exports(text)?;
        writeln!(text, "\nCtrl-C ends it.")
    }

    /// What a program finds the first solution by, and a token of one of its customers.
    #[cfg(feature = "control")]
    fn write_exports(&self, text: &mut String) -> std::fmt::Result {
        let Some(ReadySolution { solution, holder: Some(holder), .. }) = self.solutions.first()
        else {
            return Ok(());
        };
        let name = &solution.name;
        writeln!(text, "\nTo try {name} as {holder} from another shell, within 15 minutes")?;
        for (name, value) in self.environment(None) {
            writeln!(text, "  export {name}='{}'", value.unwrap_or_default())?;
        }
        Ok(())
    }

    /// Whether the world has that solution.
    pub(super) fn has(&self, solution_id: &str) -> bool {
        self.solutions.iter().any(|it| it.solution.id == solution_id)
    }

    /// By what a program finds this server, as a solution's: the first one's unless told. `None` is what
    /// this server has not.
    pub(super) fn environment(
        &self,
        solution_id: Option<&str>,
    ) -> [(&'static str, Option<String>); 8] {
        let is_meant = |it: &&ReadySolution| solution_id.is_none_or(|id| id == it.solution.id);
        let meant = self.solutions.iter().find(is_meant);
        let own = |of: fn(&SolutionInfo) -> &str| meant.map(|it| of(&it.solution).to_owned());
        #[cfg(feature = "control")]
        let pair = meant.and_then(|it| it.token_pair.as_ref());
        #[cfg(not(feature = "control"))]
        let pair: Option<&cloudnestle_marketplace::model::TokenPair> = None;
        let control_token = self.control_token.as_ref().map(|it| it.expose().to_owned());
        [
            ("CLOUDNESTLE_URL", Some(self.url.clone())),
            ("CLOUDNESTLE_SOLUTION", own(|it| &it.id)),
            ("CLOUDNESTLE_SECRET_KEY", own(|it| it.secret_key.expose())),
            ("CLOUDNESTLE_PUBLISHABLE_KEY", own(|it| it.publishable_key.expose())),
            ("CLOUDNESTLE_ADMIN_KEY", Some(self.admin_key.expose().to_owned())),
            ("CLOUDNESTLE_CONTROL_TOKEN", control_token),
            ("CLOUDNESTLE_TOKEN", pair.map(|it| it.access_token.expose().to_owned())),
            ("CLOUDNESTLE_TOKEN_PAIR", pair.and_then(|it| serde_json::to_string(it).ok())),
        ]
    }

    /// For programs that read what this one prints.
    pub(super) fn line(&self) -> Result<String, Box<dyn Error>> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    /// For programs. The file appears complete or not at all, for its owner alone.
    pub(super) fn write_file(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        let unfinished = path.with_added_extension("unfinished");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&unfinished)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        drop(file);
        Ok(std::fs::rename(unfinished, path)?)
    }
}
