"""dnspython against a server at 127.0.0.1, port and world file given as arguments. Exits with 0 if it reads what it should.

Every answer is parsed strictly (trailing bytes are an error), and its data compared with what the world file says.
"""

import sys
import tomllib

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype

PORT = int(sys.argv[1])
with open(sys.argv[2], "rb") as file:
    WORLD = tomllib.load(file)


def ask(name, rtype, transport="udp", rdclass="IN", options=(), edns=0, payload=1232, flags=0, ednsflags=0, opcode=None):
    query = dns.message.make_query(name, rtype, rdclass, use_edns=edns, options=list(options), payload=payload, ednsflags=ednsflags)
    query.flags = flags
    if opcode is not None:
        query.set_opcode(opcode)
    answer = getattr(dns.query, transport)(query, "127.0.0.1", port=PORT, timeout=20, ignore_trailing=False)
    assert answer.id == query.id and answer.flags & dns.flags.QR
    assert answer.question == query.question, (name, rtype)
    assert (answer.edns >= 0) == (edns is not None and edns is not False), (name, rtype)
    return answer


def option(answer, kind):
    return next((o for o in answer.options if o.otype == kind), None)


def check(condition, answer):
    if not condition:
        raise AssertionError(str(answer))


def absolute(name, origin):
    return dns.name.from_text(origin if name == "@" else f"{name}.{origin}")


def data_of(record):
    """The record's data as dnspython understands its text. A world's TXT is the text itself."""
    if record["type"] == "TXT":
        return record["value"].encode()
    return dns.rdata.from_text("IN", record["type"], record["value"])


def read(rdata):
    return b"".join(rdata.strings) if rdata.rdtype == dns.rdatatype.TXT else rdata


def every_record_is_read_as_it_was_written():
    sets = {}
    for zone in WORLD["zone"]:
        for record in zone.get("record", []):
            key = (absolute(record["name"], zone["origin"]), dns.rdatatype.from_text(record["type"]))
            sets.setdefault(key, []).append(data_of(record))
    types = set()
    for (name, rtype), written in sets.items():
        if name.is_wild() or name.is_subdomain(dns.name.from_text("branch.shop.test")):
            continue
        for transport in ("udp", "tcp"):
            answer = ask(name, rtype, transport)
            if answer.flags & dns.flags.TC:
                check(transport == "udp" and not answer.answer, answer)
                continue
            [found] = answer.answer[:1]
            check(found.rdtype == rtype and found.ttl == 300 and answer.flags & dns.flags.AA, answer)
            got = [read(rdata) for rdata in found]
            check(sorted(map(str, got)) == sorted(map(str, written)) and all(one in got for one in written), answer)
            types.add(rtype)
    assert len(types) >= 28, sorted(types)


def every_kind_of_answer_is_read():
    for transport in ("udp", "tcp"):
        answer = ask("www.shop.test", "A", transport)
        check(answer.rcode() == dns.rcode.NOERROR and answer.flags & dns.flags.AA, answer)
        check([r.address for r in answer.answer[0]] == ["192.0.2.1"], answer)

        answer = ask("missing.shop.test", "A", transport)
        check(answer.rcode() == dns.rcode.NXDOMAIN and answer.authority[0].rdtype == dns.rdatatype.SOA, answer)
        answer = ask("er.names.shop.test", "A", transport)
        check(answer.rcode() == dns.rcode.NOERROR and answer.authority[0].rdtype == dns.rdatatype.SOA, answer)

        answer = ask("x.branch.shop.test", "A", transport)
        check(not answer.flags & dns.flags.AA and not answer.answer, answer)
        check(answer.authority[0].rdtype == dns.rdatatype.NS and len(answer.authority[0]) == 2, answer)
        check({rrset.rdtype for rrset in answer.additional} == {dns.rdatatype.A, dns.rdatatype.AAAA}, answer)

        answer = ask("a.old.shop.test", "A", transport)
        kinds = [rrset.rdtype for rrset in answer.answer]
        check(kinds == [dns.rdatatype.DNAME, dns.rdatatype.CNAME, dns.rdatatype.A], answer)
        made = dns.name.from_text("a.types.test")
        check(answer.resolve_chaining().canonical_name == made, answer)
        long = ".".join(["x" * 55] * 4)
        answer = ask(f"{long}.longer.shop.test", "A", transport)
        check(answer.rcode() == dns.rcode.YXDOMAIN, answer)

        answer = ask("closed.shop.test", "A", transport)
        check(option(answer, dns.edns.EDE).text == "every member is down: none is named", answer)
        answer = ask("elsewhere.test", "A", transport)
        check(answer.rcode() == dns.rcode.REFUSED and option(answer, dns.edns.EDE).code == 20, answer)

        answer = ask("www.shop.test", "ANY", transport)
        check(answer.answer[0].rdtype == dns.rdatatype.HINFO and answer.answer[0][0].cpu == b"RFC8482", answer)
        answer = ask("store.shop.test", "ANY", transport)
        check(answer.answer[0].rdtype == dns.rdatatype.CNAME, answer)

        for name, said in [("version.bind", b"atoll"), ("id.server", b"us-east"), ("plan.atoll", b"plan 7:1")]:
            answer = ask(name, "TXT", transport, rdclass="CH")
            check(answer.answer[0][0].strings[0].startswith(said), answer)


def options_are_read():
    for subnet, scope, address in [("127.2.9.0/24", 16, "192.0.2.2"), ("127.3.0.0/16", 16, "192.0.2.1"), ("0.0.0.0/0", 0, "192.0.2.1")]:
        answer = ask("www.shop.test", "A", options=[dns.edns.ECSOption.from_text(subnet)])
        ecs = option(answer, dns.edns.ECS)
        check(f"{ecs.address}/{ecs.srclen}" == subnet and ecs.scopelen == scope, answer)
        check(answer.answer[0][0].address == address, answer)
    check(option(ask("www.shop.test", "A"), dns.edns.ECS) is None, "no subnet in, none out")
    answer = ask("www.shop.test", "A", options=[dns.edns.NSIDOption(b"")])
    check(option(answer, dns.edns.NSID).nsid == b"us-east", answer)
    answer = ask("www.shop.test", "A", options=[dns.edns.GenericOption(65001, b"unknown")])
    check(answer.rcode() == dns.rcode.NOERROR and not answer.options, answer)
    for transport in ("udp", "tcp"):
        # Keepalive (11) without data, as clients send it. A server that answers it says a time in two bytes, over TCP alone.
        answer = ask("www.shop.test", "A", transport, options=[dns.edns.GenericOption(11, b"")])
        told = option(answer, 11)
        check(told is None or transport == "tcp" and len(told.to_wire()) == 2, answer)
    answer = ask("www.shop.test", "A", edns=1)
    check(answer.rcode() == dns.rcode.BADVERS and answer.edns == 0, answer)
    answer = ask("www.shop.test", "A", ednsflags=dns.flags.DO | 0x4000)
    check(answer.ednsflags & 0xFFFF == dns.flags.DO, answer)


def what_does_not_fit_comes_over_tcp():
    for payload in (512, 1232, 4096):
        answer = ask("big.types.test", "TXT", payload=payload)
        check(answer.flags & dns.flags.TC and not answer.answer, answer)
    query = dns.message.make_query("big.types.test", "TXT", use_edns=0)
    query.flags = 0
    answer, over_tcp = dns.query.udp_with_fallback(query, "127.0.0.1", port=PORT, timeout=20)
    check(over_tcp and len(b"".join(answer.answer[0][0].strings)) == 1500, answer)


def other_operations_are_refused():
    for opcode in (dns.opcode.STATUS, dns.opcode.NOTIFY, dns.opcode.UPDATE):
        query = dns.message.make_query("shop.test", "SOA")
        query.set_opcode(opcode)
        answer = dns.query.udp(query, "127.0.0.1", port=PORT, timeout=20)
        check(answer.rcode() == dns.rcode.NOTIMP, answer)
    answer = ask("shop.test", "AXFR", "tcp")
    check(answer.rcode() == dns.rcode.REFUSED, answer)


every_record_is_read_as_it_was_written()
every_kind_of_answer_is_read()
options_are_read()
what_does_not_fit_comes_over_tcp()
other_operations_are_refused()
