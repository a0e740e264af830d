//! A world of one's own, from a YAML file: solutions, customers and who has subscribed to what.

use cloudnestle_marketplace::model::{QuotaPolicy, Secret, Tier, Timestamp, WhenOffline, Window};
use serde::Deserialize;

use crate::domain::account::{Account, Email};
use crate::domain::catalogue::{Action, Allowance, Customer, Plan, Solution, Source, Subscription};
use crate::domain::credential::Hash;
use crate::domain::founding::Founding;
use crate::domain::password::{self, PasswordHash};
use crate::world::World;

/// The file. What it does not know it refuses: a slip of the pen must not make another world.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeedFile {
    solutions: Vec<SeedSolution>,
    #[serde(default)]
    customers: Vec<SeedCustomer>,
    #[serde(default)]
    subscriptions: Vec<SeedSubscription>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedSolution {
    id: String,
    name: String,
    #[serde(default = "india")]
    time_zone: String,
    launch_url: Option<String>,
    upgrade_url: Option<String>,
    #[serde(default)]
    allowed_origins: Vec<String>,
    actions: Vec<SeedAction>,
    plans: Vec<SeedPlan>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedAction {
    name: String,
    unit: String,
    #[serde(default)]
    source: Source,
    #[serde(default, with = "KnownWhenOffline")]
    when_offline: WhenOffline,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedPlan {
    #[serde(with = "KnownTier")]
    tier: Tier,
    #[serde(default)]
    entitlements: Vec<String>,
    #[serde(default)]
    allowances: Vec<SeedAllowance>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedAllowance {
    action: String,
    limit: Option<u64>,
    #[serde(with = "KnownWindow")]
    window: Window,
    #[serde(default = "soft", with = "KnownPolicy")]
    policy: QuotaPolicy,
}

/// Anonymous without an address.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedCustomer {
    id: String,
    name: Option<String>,
    email: Option<String>,
    password: Option<Secret>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedSubscription {
    customer: String,
    solution: String,
    #[serde(with = "KnownTier")]
    tier: Tier,
}

// The words that a file may use. The model's own types take any other for `Unknown`, as readers of a
// newer marketplace must: here it would found a quota without a limit, or without a window.

#[derive(Deserialize)]
#[serde(remote = "Tier", rename_all = "snake_case")]
enum KnownTier {
    Anonymous,
    Registered,
    Pro,
    Enterprise,
}

#[derive(Deserialize)]
#[serde(remote = "Window", rename_all = "snake_case")]
enum KnownWindow {
    Day,
    Month,
}

#[derive(Deserialize)]
#[serde(remote = "QuotaPolicy", rename_all = "snake_case")]
enum KnownPolicy {
    Soft,
    Hard,
}

#[derive(Deserialize)]
#[serde(remote = "WhenOffline", rename_all = "snake_case")]
enum KnownWhenOffline {
    Deny,
    Overage,
}

/// As quotas and invoices have it unless a solution says otherwise.
fn india() -> String {
    "Asia/Kolkata".to_owned()
}

fn soft() -> QuotaPolicy {
    QuotaPolicy::Soft
}

/// The world of a file, and what it is known by.
#[derive(Clone)]
pub(crate) struct Seed {
    pub(super) founding: Founding,
    /// Of the file.
    pub(super) fingerprint: String,
}

impl Seed {
    /// Of the file.
    #[cfg(feature = "control")]
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The world that a file describes, founded now; or what is wrong with it.
    pub(crate) fn read(yaml: &str, world: &World) -> Result<Seed, String> {
        Seed::of(parse(yaml)?, Hash::of(&Secret::new(yaml)).index(), world)
    }

    /// The world of a file that was read already.
    pub(crate) fn of(file: SeedFile, fingerprint: String, world: &World) -> Result<Seed, String> {
        let founding = founding(file, world.now(), || world.random.bytes())?;
        Ok(Seed { founding, fingerprint })
    }
}

fn parse(yaml: &str) -> Result<SeedFile, String> {
    // Without the lines of the file it would quote: there may be a password in them.
    serde_saphyr::from_str(yaml).map_err(|error| error.without_snippet().to_string())
}

fn founding(
    file: SeedFile,
    now: Timestamp,
    mut salt: impl FnMut() -> [u8; 16],
) -> Result<Founding, String> {
    let mut founding = Founding {
        solutions: file.solutions.into_iter().map(solution).collect(),
        ..Founding::default()
    };
    for customer in file.customers {
        let SeedCustomer { id, name, email, password } = customer;
        let email = match email {
            Some(text) => {
                Some(Email::parse(&text).ok_or_else(|| format!("{id}: {text:?} is no address"))?)
            }
            None => None,
        };
        match (&email, password) {
            (Some(email), Some(password)) => {
                let password = hash(&id, &password, salt())?;
                let account = Account { customer_id: id.clone(), password };
                founding.accounts.push((email.clone(), account));
            }
            (None, Some(_)) => return Err(format!("{id}: a password without an address")),
            (_, None) => {}
        }
        let registered_at = email.is_some().then_some(now);
        founding.customers.push(Customer { id, name, email, registered_at });
    }
    founding.subscriptions = file
        .subscriptions
        .into_iter()
        .map(|it| Subscription {
            customer_id: it.customer,
            solution_id: it.solution,
            tier: it.tier,
            since: now,
        })
        .collect();
    match founding.flaw() {
        Some(flaw) => Err(flaw),
        None => Ok(founding),
    }
}

fn hash(id: &str, password: &Secret, salt: [u8; 16]) -> Result<PasswordHash, String> {
    if !password::has_length(password) {
        return Err(format!("{id}: a password has 8 to 256 characters"));
    }
    PasswordHash::of(password, salt).ok_or_else(|| format!("{id}: the password can't be hashed"))
}

fn solution(seed: SeedSolution) -> Solution {
    let action = |it: SeedAction| Action {
        name: it.name,
        unit: it.unit,
        source: it.source,
        when_offline: it.when_offline,
    };
    let allowance = |it: SeedAllowance| Allowance {
        action: it.action,
        limit: it.limit,
        window: it.window,
        policy: it.policy,
    };
    let plan = |it: SeedPlan| Plan {
        tier: it.tier,
        entitlements: it.entitlements,
        allowances: it.allowances.into_iter().map(allowance).collect(),
    };
    Solution {
        id: seed.id,
        name: seed.name,
        time_zone: seed.time_zone,
        actions: seed.actions.into_iter().map(action).collect(),
        plans: seed.plans.into_iter().map(plan).collect(),
        launch_url: seed.launch_url,
        upgrade_url: seed.upgrade_url,
        allowed_origins: seed.allowed_origins,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(yaml: &str) -> Result<Founding, String> {
        founding(parse(yaml)?, Timestamp::from_secs(1_800_000_000), || [7; 16])
    }

    const MAPS: &str = "
solutions:
  - id: sol_maps
    name: Maps
    actions: [{ name: tile, unit: tile }]
    plans:
      - { tier: anonymous, allowances: [{ action: tile, limit: 10, window: day, policy: hard }] }
customers: [{ id: cus_guest }]
subscriptions: [{ customer: cus_guest, solution: sol_maps, tier: anonymous }]
";

    #[test]
    fn a_world_is_read_from_its_file() {
        let maps = world(MAPS).expect("a world");
        assert_eq!(maps.solutions[0].time_zone, "Asia/Kolkata");
        assert!(maps.solutions[0].is_hard("tile", Window::Day));
        assert_eq!(maps.customers[0].registered_at, None);
        assert_eq!(maps.solutions[0].actions[0].when_offline, WhenOffline::Deny);
        for url in ["https://maps.example/plans?from=app", "http://localhost:5173/plans"] {
            let lines = format!("name: Maps\n    upgrade_url: {url}");
            let yaml = MAPS.replace("name: Maps", &lines);
            let yaml = yaml.replace("unit: tile", "unit: tile, when_offline: overage");
            let Solution { upgrade_url, actions, .. } =
                world(&yaml).expect("a world").solutions.swap_remove(0);
            assert_eq!(upgrade_url.as_deref(), Some(url));
            assert_eq!(actions[0].when_offline, WhenOffline::Overage);
        }
    }

    #[test]
    fn a_slip_beside_a_password_does_not_print_it() {
        for slip in ["passwort: pa55word", "password: pa55word, tier: pro", "password: [pa55word]"]
        {
            let customer = format!("{{ id: cus_guest, email: a@b.example, {slip} }}");
            let yaml = MAPS.replace("{ id: cus_guest }", &customer);
            let flaw = world(&yaml).expect_err("a slip");
            assert!(flaw.contains("line 8") && !flaw.contains("pa55word"), "{flaw}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        for (from, to, words) in [
            ("sol_maps\n    name", "maps\n    name", "an id looks like sol_name, not \"maps\""),
            ("tier: anonymous }]", "tier: pro }]", "sol_maps has no plan for cus_guest's tier Pro"),
            ("solution: sol_maps", "solution: sol_map", "cus_guest has subscribed to sol_map"),
            ("action: tile", "action: tiles", "sol_maps: a plan limits tiles, which is no action"),
            ("cus_guest }]\n", "cus_guest, password: x }]\n", "a password without an address"),
            ("name: Maps", "name: Maps\n    time_zone: Mars/Base", "there is no time zone"),
            ("limit: 10", "limits: 10", "unknown field `limits`"),
            (
                "policy: hard",
                "policy: haard",
                "unknown variant `haard`, expected one of soft, hard",
            ),
            ("window: day", "window: week", "unknown variant `week`, expected one of day, month"),
            ("{ tier: anonymous", "{ tier: gold", "unknown variant `gold`, expected one of"),
            ("sol_maps, tier: anonymous", "sol_maps, tier: unknown", "unknown variant `unknown`"),
            (
                "name: Maps",
                "name: Maps\n    allowed_origins: [http://a.test/]",
                "no slash at the end",
            ),
            ("unit: tile", "unit: tile, when_offline: pray", "expected one of deny, overage"),
            (
                "name: Maps",
                "name: Maps\n    upgrade_url: http://a.test/plans",
                "upgrade_url is https://",
            ),
            ("name: Maps", "name: Maps\n    upgrade_url: https://", "upgrade_url is https://"),
            (
                "name: Maps",
                "name: Maps\n    upgrade_url: javascript:alert(1)",
                "upgrade_url is https://",
            ),
        ] {
            let flaw = world(&MAPS.replace(from, to)).expect_err(to);
            assert!(flaw.contains(words), "{flaw}");
        }
    }
}
