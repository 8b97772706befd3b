#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The two examples of Momentum's manual: registration, and routing by a hook."""

import json
import subprocess

from harness import Missing, Postfix, Sendmail, Sink, case, keep, run, wait_until
from rig import (HERE, SCRIPTLET, SOURCE, Site, both, drained, mail, module, no_script_errors,
                 policy, same)

MAPS = SOURCE / "contrib/postfix"
HEADER_CHECKS = f"regexp:{MAPS}/milter_header_checks"
STRIP = f"regexp:{MAPS}/smtp_header_checks"
LINE = "The ehlo string is EHLO client.test"


def registration(site):
    """The line is in the log and the mail arrives."""
    with site.daemon({"ehlo_phase": policy("ehlo_phase")}) as daemon:
        with site.client("client.test") as smtp:
            assert smtp.send("a@example.org", "greeted@example.com", mail()).accepted
        daemon.wait_log(rf"^\d+:scriptlet: {LINE} \[\w+\]$")
        same(daemon.log().count(LINE), 1)
        no_script_errors(daemon)
    same(site.sink.wait_for("greeted@example.com").body, b"body\r\n")


for one_site in both():
    case(f"{one_site.name}: the registration example prints its line")(
        lambda site=one_site: registration(site))


def simulate(*words):
    """Run `scriptlet simulate`; the EHLO example is the policy."""
    return subprocess.run(
        [SCRIPTLET, "simulate", "--script", f"ehlo_phase={HERE}/policies/ehlo_phase.lua",
         "--helo", "client.test", *words],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=60)


@case("simulate: the registration example prints its line")
def _():
    done = simulate()
    same((done.returncode, done.stderr), (0, ""))
    assert LINE in done.stdout, done.stdout
    done = simulate("--json")
    same((done.returncode, done.stderr), (0, ""))
    report = json.loads(done.stdout)
    same(report["result"]["action"], "accept")
    same(report["log"], [LINE])
    [ehlo] = [phase for phase in report["phases"] if phase["phase"] == "ehlo"]
    [callout] = ehlo["callouts"]
    same((callout["module"], callout["callout"], callout["return"]),
         ("ehlo_phase", "validate_ehlo", "CONT"))


# Routing: one recipient's mail takes another way.

other = Sink("other-sink")
third = Sink("third-sink")


def other_port():
    """The port of the SMTP listener that mail is rerouted to."""
    if not other.running:
        keep(other).start()
    return other.port


def router():
    """The manual's routing hook, for mail to reroute@ only."""
    return module("router", core_config_get_message_routing_domain=f"""scope, msg, buff:
        if msg:rcptto() ~= "reroute@example.com" then return 0 end
        buff:set("[127.0.0.1]:{other_port()}")
        return #buff""")


MAPPED = Site(Postfix, parameters={"milter_header_checks": HEADER_CHECKS,
                                   "smtp_header_checks": STRIP})
# What the daemon itself leaves in a mail shows where Postfix strips nothing.
UNSTRIPPED = Site(Postfix, parameters={"milter_header_checks": HEADER_CHECKS})


def send(site, recipient, content):
    """One accepted message."""
    with site.client() as smtp:
        result = smtp.send("a@example.org", recipient, content)
        assert result.accepted, result.last


@case("Postfix: the routing example takes a mail to another listener")
def _():
    with MAPPED.daemon({"router": router()}) as daemon:
        send(MAPPED, "reroute@example.com", mail(subject="rerouted"))
        message = other.wait_for("reroute@example.com")
        same((message.header("Subject"), message.body), (["rerouted"], b"body\r\n"))
        assert b"X-Scriptlet" not in message.data, message.data
        send(MAPPED, "straight@example.com", mail())
        MAPPED.sink.wait_for("straight@example.com")
        wait_until(MAPPED.mta.queue_empty, 30, "empty queue")
        no_script_errors(daemon)
    assert all("reroute@example.com" not in one.recipients for one in MAPPED.sink.messages)
    same(len(other.clear()), 1)
    assert not MAPPED.mta.complaints(), MAPPED.mta.complaints()


@case("Postfix: the route is handed over as a header field")
def _():
    port = other_port()
    with UNSTRIPPED.daemon({"router": router()}):
        send(UNSTRIPPED, "reroute@example.com", mail())
        message = other.wait_for("reroute@example.com")
        same(message.header("X-Scriptlet-Route"), [f"[127.0.0.1]:{port}"])
    other.clear()


@case("Postfix: forged fields from outside neither steer nor stay")
def _():
    forged = mail(X_Scriptlet_Route=f"[127.0.0.1]:{other_port()}", X_Scriptlet_Binding="smtp",
                  x_scriptlet_ROUTE=f"[127.0.0.1]:{other_port()}", X_Other="stays")
    with UNSTRIPPED.daemon({"router": router()}) as daemon:
        send(UNSTRIPPED, "forged@example.com", forged)
        message = UNSTRIPPED.sink.wait_for("forged@example.com")
        assert b"scriptlet" not in message.data.lower(), message.data
        same(message.header("X-Other"), ["stays"])
        send(UNSTRIPPED, "reroute@example.com", forged)
        message = other.wait_for("reroute@example.com")
        same(message.header("X-Scriptlet-Route"), [f"[127.0.0.1]:{other_port()}"])
        same(message.header("X-Scriptlet-Binding"), [])
        no_script_errors(daemon)
    same(len(other.clear()), 1)


@case("Postfix: forged fields are stripped even where no callout sees the message")
def _():
    with MAPPED.daemon({"ehlo_phase": policy("ehlo_phase")}):
        send(MAPPED, "unseen@example.com",
             mail(X_Scriptlet_Route=f"[127.0.0.1]:{other_port()}"))
        message = MAPPED.sink.wait_for("unseen@example.com")
        assert b"X-Scriptlet" not in message.data, message.data
    same(other.clear(), [])


@case("Postfix: what is no routing domain defers the mail")
def _():
    lua = module("router", core_config_get_message_routing_domain="""scope, msg, buff:
        buff:set("evil.example smtp:[192.0.2.1]")
        return #buff""")
    with MAPPED.daemon({"router": lua}) as daemon:
        with MAPPED.client() as smtp:
            result = smtp.send("a@example.org", "nowhere@example.com", mail())
            same((result.last.code, result.last.enhanced), (451, "4.3.0"))
        daemon.wait_log("is not a routing domain")


@case("Postfix: a binding is a transport of its name")
def _():
    port = other_port()
    binder = module("binder", validate_data_spool="""msg, ac, vctx:
        msg:header("X-Scriptlet-Binding", "side")
        return msys.core.VALIDATE_CONT""")
    site = Site(Postfix, domains=("localhost",),
                parameters={"milter_header_checks": HEADER_CHECKS, "smtp_header_checks": STRIP},
                services=[f"side unix - - n - - smtp -o smtp_tcp_port={port} -o syslog_name=side"])
    with site.daemon({"binder": binder}):
        send(site, "bound@localhost", mail())
        message = other.wait_for("bound@localhost")
        assert b"X-Scriptlet" not in message.data, message.data
        site.mta.wait_log(r"side/smtp\[\d+\].* status=sent")
    same(len(other.clear()), 1)


# Routing differs by recipient: those of one message part, each with its copy.

def listeners():
    """Where mail can go, by the name that a recipient's local part has."""
    for sink in (other, third):
        if not sink.running:
            keep(sink).start()
    return {"other": other, "third": third, "straight": MAPPED.sink}


def parted_router():
    """The local part of a recipient says which listener gets its mail."""
    ports = {name: sink.port for name, sink in listeners().items() if name != "straight"}
    return module("router", core_config_get_message_routing_domain=f"""scope, msg, buff:
        local ports = {{ other = {ports["other"]}, third = {ports["third"]} }}
        local port = ports[msg:rcptto():match("^%a+")]
        if not port then return 0 end
        buff:set("[127.0.0.1]:" .. port)
        return #buff""")


def parted(*names):
    """One message to NAME1@, NAME2@ ...: each arrives once, where its name says."""
    recipients = [f"{name}{number}@example.com" for number, name in enumerate(names)]
    wanted = {}
    for name, recipient in zip(names, recipients):
        wanted.setdefault(name, []).append(recipient)
    sinks = listeners()
    for sink in sinks.values():
        sink.clear()
    mta = MAPPED.started()
    with MAPPED.daemon({"router": parted_router()}, settings={
            "submission": f"inet:{mta.port}@127.0.0.1"}) as daemon:
        with MAPPED.client() as smtp:
            result = smtp.send("a@example.org", recipients, mail(subject="parted"))
            assert result.accepted, result.last
            smtp.quit()
        for name, group in wanted.items():
            for recipient in group:
                sinks[name].wait_for(recipient)
        drained(mta)
        no_script_errors(daemon)
    for name, sink in sinks.items():
        same(sorted(one for message in sink.messages for one in message.recipients),
             sorted(wanted.get(name, [])))
        for message in sink.clear():
            same((message.sender, message.header("Subject"), message.body),
                 ("a@example.org", ["parted"], b"body\r\n"))
            assert b"X-Scriptlet" not in message.data, message.data
    assert not mta.complaints(), mta.complaints()


for one_mix in (("other", "straight"), ("straight", "other"), ("other", "other", "straight"),
                ("other", "third", "other"), ("third", "straight", "other"),
                ("straight", "third", "third", "other", "straight")):
    case("Postfix: routes part the recipients " + ", ".join(one_mix))(
        lambda mix=one_mix: parted(*mix))


@case("Postfix: routes that part are deferred where copies cannot be submitted")
def _():
    sinks = listeners()
    for sink in sinks.values():
        sink.clear()
    with MAPPED.daemon({"router": parted_router()}, settings={"submission": ""}) as daemon:
        with MAPPED.client() as smtp:
            result = smtp.send("a@example.org", ["other@example.com", "straight@example.com"],
                               mail())
            same((result.last.code, result.last.enhanced), (451, "4.3.0"))
        daemon.wait_log("the message is deferred: .*'submission'")
        drained(MAPPED.mta)
    same([message.recipients for sink in sinks.values() for message in sink.messages], [])


@case("the maps act on whole, well-formed values only")
def _():
    def action(table, line):
        return MAPPED.started().command("postmap", "-q", line, table, check=False).strip()

    same(action(HEADER_CHECKS, "X-Scriptlet-Route: example.com"), "FILTER smtp:example.com")
    same(action(HEADER_CHECKS, "x-scriptlet-route: [192.0.2.1]:2525"),
         "FILTER smtp:[192.0.2.1]:2525")
    same(action(HEADER_CHECKS, "X-Scriptlet-Route: [2001:db8::1]:25"),
         "FILTER smtp:[2001:db8::1]:25")
    same(action(HEADER_CHECKS, "X-Scriptlet-Binding: out_a-1"), "FILTER out_a-1:")
    for line in ("X-Scriptlet-Route:", "X-Scriptlet-Route: a b", "X-Scriptlet-Route: a/b",
                 "X-Scriptlet-Binding: a:b", "X-Scriptlet-Bindings: a", "Y-X-Scriptlet-Route: a"):
        same(action(HEADER_CHECKS, line), "")
    for name in ("Route", "Binding"):
        same(action(STRIP, f"X-Scriptlet-{name}: anything at all"), "IGNORE")
    same(action(STRIP, "X-Scriptlet-Else: x"), "")


def check_simulator():
    """Raise Missing unless the simulator was built."""
    try:
        subprocess.run([SCRIPTLET, "--version"], capture_output=True, check=False, timeout=60)
    except OSError as problem:
        raise Missing(f"{SCRIPTLET}: {problem.strerror}; set SCRIPTLET") from problem


if __name__ == "__main__":
    run(needs=[Postfix.check, Sendmail.check, check_simulator])
