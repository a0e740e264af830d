"""The marketplace's side of a scenario."""

from datetime import timedelta

from cloudnestle_marketplace.testing import start_marketplace

SOLUTION = "sol_faiss_search"


class Server:
    def __init__(self, given, steps, folder):
        self.solution = given.get("solution", SOLUTION)
        is_restarted = any(step["do"] == "restart_server" for step in steps)
        self.marketplace = start_marketplace(db=folder / "server.db" if is_restarted else None)
        if "clock" in given:
            self.marketplace.set_clock(given["clock"])

    def pair(self, customer, solution=SOLUTION):
        return self.marketplace.token_pair(customer, solution)

    def launch_code(self, customer, solution=SOLUTION):
        """A code as a customer's browser brings it."""
        return self.marketplace.launch_code(customer, solution)

    def do(self, step, program):
        """What the marketplace does, or the world; whether this step is such a deed."""
        deed = getattr(self, f"do_{step['do']}", None)
        if deed is not None:
            deed(step, program)
        return deed is not None

    def do_revoke(self, step, program):
        self.marketplace.revoke_token(program.access_token(step), self.solution)

    def do_reset_quota(self, step, _program):
        self.marketplace.reset_quota(step["customer"], step["action"], self.solution)

    def do_revoke_user(self, step, _program):
        self.marketplace.revoke_user(step["customer"], self.solution)

    def do_change_tier(self, step, _program):
        self.marketplace.set_tier(step["customer"], step["tier"], self.solution)

    def do_issue(self, step, program):
        program.pairs[step["keep_as"]] = self.pair(step["customer"])

    def do_restart_server(self, _step, _program):
        self.marketplace.restart()

    def do_report(self, step, program):
        """A customer's browser sends usage of its own."""
        token = program.access_token(step)
        user = self.marketplace.call("GET", "/api/user-context", token)
        event = {
            "id": f"evt_{step['action']}",
            "customer_id": user["customer_id"],
            "token_id": user["token_id"],
            "action": step["action"],
            "quantity": step.get("quantity", 1),
            "occurred_at": self.marketplace.now().isoformat().replace("+00:00", "Z"),
        }
        answer = self.marketplace.call("POST", "/api/track-usage", token, {"event": event})
        assert answer["results"][0].get("code") == step.get("error")

    def do_limit_calls(self, step, _program):
        self.marketplace.set_rate_limit("key", step["per_second"])

    def do_rotate_signing_key(self, _step, _program):
        self.marketplace.rotate_signing_key()

    def do_register(self, step, program):
        body = {"email": "kavya@example.com", "password": "correct horse"}
        self.marketplace.call("POST", "/api/users/convert", program.access_token(step), body)

    def do_advance_clock(self, step, _program):
        self.marketplace.advance_clock(timedelta(milliseconds=step["millis"]))

    def do_turn_clock_back(self, step, _program):
        self.marketplace.set_clock(self.marketplace.now() - timedelta(milliseconds=step["millis"]))

    def do_go_offline(self, _step, _program):
        self.marketplace.set_outage(True)

    def do_come_online(self, _step, _program):
        self.marketplace.set_outage(False)

    def do_faults(self, step, _program):
        for fault in step["plan"]:
            fault = dict(fault)
            self.marketplace.inject(fault.pop("on"), **fault)

    def polls(self):
        """How often the feed was read."""
        return sum(entry["operation"] == "GET /api/revocations" for entry in self.marketplace.journal())

    def must_have_seen(self, saw=None, used=None):
        """What the scenario says of the server in the end. A fault plan must be used up."""
        assert self.marketplace.faults_left() == [], "the fault plan was not used up"
        operations = [entry["operation"] for entry in self.marketplace.journal()]
        for operation, times in (saw or {}).items():
            assert operations.count(operation) == times, f"{operation}: {operations.count(operation)}"
        for customer, actions in (used or {}).items():
            quotas = self.marketplace.quotas(customer, self.solution)
            known = {quota["action"]: quota["used"] for quota in quotas}
            for action, much in actions.items():
                # What has no limit has no quota either.
                counted = known.get(action)
                if counted is None:
                    counted = self.marketplace.used(customer, action, self.solution)
                assert counted == much, f"{customer} used {action} {counted}, not {much}"


