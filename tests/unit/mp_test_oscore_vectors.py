# RFC 8613 Appendix C: derivations, and whole packets in both directions.
# MIT license; Copyright (c) 2026 the microlwm2m authors

import json

import coap.message as m
from check import equal, raises
from oscore import Account, Context, validate
from oscorepair import Flash, Rand, recorder


def load():
    with open("tests/vectors/rfc8613.json") as f:
        return json.load(f)


def hexed(text):
    return None if text is None else bytes.fromhex(text)


def derivation(vectors, section):
    return [d for d in vectors["derivations"] if d["section"] == section][0]


def account(d, seq=0):
    made = Account(
        hexed(d["master_secret"]),
        hexed(d["sender_id"]),
        hexed(d["recipient_id"]),
        hexed(d["master_salt"]),
        id_context=hexed(d["id_context"]),
        random=Rand(),
        persist=Flash().record(),
        policy="b1",
    )
    made.ctx.seq = seq
    return made


def other(d):
    """The same keys, as the peer has them."""
    swapped = dict(d)
    swapped["sender_id"], swapped["recipient_id"] = d["recipient_id"], d["sender_id"]
    return account(swapped)


def test_C_1_to_C_3_derivations():
    done = 0
    for d in load()["derivations"]:
        params = validate(
            hexed(d["master_secret"]),
            hexed(d["sender_id"]),
            hexed(d["recipient_id"]),
            hexed(d["master_salt"]),
        )
        ctx = Context(params, hexed(d["id_context"]))
        equal(bytes(ctx.sender_key), hexed(d["sender_key"]))
        equal(bytes(ctx.recipient_key), hexed(d["recipient_key"]))
        # A nonce is the Common IV, exclusive or the ID behind its length, and the Partial IV.
        iv = bytearray(ctx.nonce(True, b"\0"))
        sender_id = bytes(7 - len(ctx.sender_id)) + ctx.sender_id
        for i, octet in enumerate(bytes((len(ctx.sender_id),)) + sender_id):
            iv[i] ^= octet
        equal(bytes(iv), hexed(d["common_iv"]))
        done += 1
    equal(done, 6)


def test_info_is_what_hkdf_gets():
    seen = []

    def record(secret, length, salt, info):
        seen.append((bytes(info), length))
        return bytes(length)

    for d in load()["derivations"]:
        seen.clear()
        params = validate(b"k", hexed(d["sender_id"]), hexed(d["recipient_id"]), hmac=record)
        Context(params, hexed(d["id_context"]))
        want = [(hexed(d["info_" + k]), n) for k, n in (("sender", 16), ("recipient", 16), ("iv", 13))]
        equal(seen, want)


def test_C_4_to_C_6_requests():
    vectors = load()
    done = 0
    for v in vectors["messages"]:
        if v["kind"] != "request":
            continue
        d = derivation(vectors, v["context"])
        client = account(d, v["sequence_number"])
        # what the vector names is what the context gives
        piv = bytes((v["sequence_number"],))
        equal(bytes(client.ctx.nonce(True, piv)), hexed(v["nonce"]))
        equal(bytes(client.ctx.request(True, piv)[2]), hexed(v["aad"]))
        plain = m.decode(hexed(v["unprotected"]))
        outer, _ = client.seal_request(plain)
        outer.type, outer.mid, outer.token = plain.type, plain.mid, plain.token
        equal(m.encode(outer), hexed(v["protected"]))
        inner, _ = other(d).open_request(m.decode(hexed(v["protected"])))
        # what does not belong to the plain text stays outside
        equal(m.pack(inner, outer.type, outer.mid, outer.token), hexed(v["unprotected"]))
        done += 1
    equal(done, 3)


def test_C_7_and_C_8_responses():
    vectors = load()
    requests = {v["section"]: v for v in vectors["messages"]}
    done = 0
    for v in vectors["messages"]:
        if v["kind"] != "response":
            continue
        d = derivation(vectors, v["context"])
        request = requests[v["request"]]
        server = account(d)
        _, binding = server.open_request(m.decode(hexed(request["protected"])))
        plain = m.decode(hexed(v["unprotected"]))
        outer = server.seal_response(plain, binding, v["partial_iv"])
        outer.type, outer.mid, outer.token = plain.type, plain.mid, plain.token
        equal(m.encode(outer), hexed(v["protected"]))

        recorder.forget()
        client = other(d)
        client.ctx.seq = request["sequence_number"]
        _, binding = client.seal_request(m.decode(hexed(request["unprotected"])))
        inner = client.open_response(m.decode(hexed(v["protected"])), binding)
        equal(m.pack(inner, outer.type, outer.mid, outer.token), hexed(v["unprotected"]))
        done += 1
    equal(done, 2)


def test_one_changed_bit_is_refused():
    vectors = load()
    v = vectors["messages"][2]
    d = derivation(vectors, v["context"])
    packet = hexed(v["protected"])
    start = packet.index(b"\xff") + 1
    for at in range(start, len(packet)):
        for bit in range(8):
            bad = bytearray(packet)
            bad[at] ^= 1 << bit
            server = other(d)
            equal(raises(m.SecurityError, server.open_request, m.decode(bad)).code, m.BAD_REQUEST)
            equal(server.ctx.window.highest, -1)
            if bit:
                break
