# What the bench measures. Runs under MicroPython: on the unix port, and on the emulated boards.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# GROUPS maps a name to a function that gives [(name, calls, run, prepare)]: run(*prepare(i)) is
# what is measured, prepare the part that is not (or () where there is none), calls how often it is
# called in one round on the unix port. Each group is measured in an interpreter of its own.

import gc

SECRET = bytes(range(16))
NONCE = bytes(range(13))
AAD = bytes(range(25))  # an Enc_structure of OSCORE has 21 to 25
SIZES = (16, 64, 256, 1024)
PEER = b"peer"


def _nothing(i):
    return ()


# --- AES, CCM, HKDF


def _provider(name):
    try:
        return __import__("aesccm." + name, None, None, ("aes",)).aes
    except ImportError:
        return None


def _block(name, aes):
    ecb = aes(SECRET, 1)
    buf = bytearray(256)
    # So many that the call itself, which costs as much as a block in C, does not count.
    return ("AES, 16 blocks, " + name, 100, ecb.encrypt, lambda i: (buf, buf))


def _bare(aes):
    # The least that a seal of 64 bytes can cost over a cryptolib: one new CBC object and its
    # call for the MAC, one call of a kept ECB object for the key stream.
    zero = bytes(16)
    ecb = aes(SECRET, 1)
    mac = bytearray(112)
    stream = bytearray(80)

    def run():
        aes(SECRET, 2, zero).encrypt(mac, mac)
        ecb.encrypt(stream, stream)

    return ("bare calls for 64 B", 100, run, _nothing)


def _open(cipher, buf, sealed):
    # In place, so that it has to be put there each time.
    buf[:] = sealed
    cipher.decrypt_into(NONCE, buf, len(buf), AAD)


def ccm():
    import aesccm

    out = []
    whole = bytearray(SIZES[-1] + 8)
    for name in ("native", "viper"):
        aes = _provider(name)
        if aes is None:
            continue
        out.append(_block(name, aes))
        if name == "native":
            out.append(_bare(aes))
        cipher = aesccm.AESCCM(SECRET, 8, __import__("aesccm." + name, None, None, ("aes",)))
        for n in SIZES:
            sealed = cipher.encrypt(NONCE, bytes(n), AAD)
            buf = memoryview(whole)[: n + 8]
            seal = (NONCE, buf, n, AAD)
            calls = 100 if n < 256 else 20
            out.append(("CCM seal %d B, %s" % (n, name), calls, cipher.encrypt_into, lambda i, a=seal: a))
            back = (cipher, buf, sealed)
            out.append(("CCM open %d B, %s" % (n, name), calls, _open, lambda i, a=back: a))
    return out


def hkdf():
    from oscore.context import Context
    from oscore.limits import validate
    import hkdf as package
    from hkdf import viper

    def over_viper(*args):
        return package.hkdf(*args, sha256=viper)

    out = []
    for name, hmac in (("native", 0), ("viper", over_viper)):
        params = validate(SECRET, b"\x01", b"\x02", hmac=hmac)
        out.append(("context from a secret, %s SHA-256" % name, 5, Context, lambda i, p=params: (p,)))
    return out


# --- CoAP and OSCORE


def _count(first=0):
    # Reproducible bytes that do not repeat.
    n = [first]

    def rand(k):
        n[0] += 1
        return bytes(k - 1 if k < 3 else k - 2) + n[0].to_bytes(1 if k < 3 else 2, "big")

    return rand


def _get(path, accept):
    import coap.message as m

    msg = m.Message(m.GET)
    for segment in path:
        msg.add(m.URI_PATH, str(segment))
    return msg.add(m.ACCEPT, accept)


def _content(payload):
    import coap.message as m

    return m.Message(m.CONTENT, payload=payload).add(m.CONTENT_FORMAT, 112)


PAYLOAD = b"\x81\xa2!f/3/0/0\x03tOpen Mobile Alliance"  # of the sealed Read, SenML CBOR


def coap():
    import coap.message as m

    request = _get((3, 0, 0), 112)
    response = _content(PAYLOAD)
    plain = bytes(m.pack(request, m.CON, 1, b"\x01\x02"))
    answer = bytes(m.pack(response, m.ACK, 1, b"\x01\x02"))
    return [
        ("parse a request, %d B" % len(plain), 200, m.read, lambda i: (plain, None)),
        ("build a request", 200, m.pack, lambda i: (request, m.CON, 1, b"\x01\x02")),
        ("parse a response, %d B" % len(answer), 200, m.read, lambda i: (answer, None)),
        ("build a response", 200, m.pack, lambda i: (response, m.ACK, 1, b"\x01\x02")),
    ]


def _pair():
    # A device's account and its server's, which agree by Appendix B.2.
    import coap.message as m
    from oscore import Account

    device = Account(SECRET, b"\x01", b"\x02", random=_count())
    server = Account(SECRET, b"\x02", b"\x01", random=_count(30000))
    while not device.ready():
        outer, binding = device.seal_request(_get((3, 0, 0), 112))
        try:
            _, back = server.open_request(m.decode(bytes(m.pack(outer, 0, 1, b""))))
            response = _content(b"")
        except m.SecurityError as e:
            back = e.ex
            response = m.Message(e.code)
        response = server.seal_response(response, back)
        device.open_response(m.decode(bytes(m.pack(response, 2, 1, b""))), binding)
    return device, server


def oscore():
    import coap.message as m

    device, server = _pair()
    request = _get((3, 0, 0), 112)
    response = _content(PAYLOAD)

    def sealed(i):
        outer, binding = server.seal_request(request)
        return (m.decode(bytes(m.pack(outer, 0, i, b"\x01\x02"))),)

    def opened(i):
        return response, device.open_request(sealed(i)[0])[1]

    def answered(i):
        outer, binding = device.seal_request(request)
        inner, back = server.open_request(m.decode(bytes(m.pack(outer, 0, i, b"\x01\x02"))))
        outer = server.seal_response(response, back)
        return m.decode(bytes(m.pack(outer, 2, i, b"\x01\x02"))), binding

    return [
        ("unprotect a request", 50, device.open_request, sealed),
        ("protect a response", 50, device.seal_response, opened),
        ("protect a request", 50, device.seal_request, lambda i: (request,)),
        ("unprotect a response", 50, device.open_response, answered),
    ]


# --- content formats

_STRING, _INTEGER, _FLOAT, _BOOLEAN, _OPAQUE, _TIME, _OBJLNK = 0, 1, 3, 4, 5, 6, 7

_NODES = [
    ((3, 0, 0), _STRING, "Open Mobile Alliance"),
    ((3, 0, 3), _STRING, "1.0"),
    ((3, 0, 9), _INTEGER, 100),
    ((3, 0, 11, 0), _INTEGER, 0),
    ((3, 0, 13), _TIME, 1767225600),
    ((3, 0, 16), _STRING, "U"),
]
_TYPES = {0: _STRING, 3: _STRING, 9: _INTEGER, 11: _INTEGER, 13: _TIME, 16: _STRING}


def formats():
    from lwm2m.formats import NUMBERS, get

    buf = bytearray(512)
    out = []

    def typeof(oid, rid):
        return _OPAQUE if opaque else _TYPES[rid]

    for ct in NUMBERS:
        fmt = get(ct)
        opaque = ct == 42
        if ct == 42:
            base, nodes = (3, 0, 0), [((3, 0, 0), _OPAQUE, b"Open Mobile Alliance")]
        elif ct in (0, 60):
            base, nodes = (3, 0, 0), _NODES[:1]
        else:
            base, nodes = (3, 0), _NODES
        data = bytes(buf[: fmt.encode(base, nodes, buf)])
        what = "%s, %d value%s" % (fmt.NAME, len(nodes), "s"[: len(nodes) > 1])
        args = (base, nodes, buf)
        out.append(("encode " + what, 20, fmt.encode, lambda i, f=args: f))
        args = (base, data, lambda oid, rid, t=_OPAQUE if opaque else None: t or _TYPES[rid])
        out.append(("decode " + what, 20, fmt.decode, lambda i, f=args: f))
    return out


# --- the whole device


class Wire:
    """A transport that keeps what was sent last."""

    sock = out = None

    def sendto(self, data, peer):
        self.out = data

    def close(self):
        pass


def registered(sealed=True):
    """(client, account, server's OSCORE account or None, wire) of a registered device: the
    objects of the firmware, no network."""
    import coap.message as m
    from coap.endpoint import Endpoint
    from lwm2m import Client
    from lwm2m.objects.device import Device
    from lwm2m.objects.accounts import OSCORE
    from lwm2m.objects.temperature import Temperature
    from oscore import Account

    class Fixed(Device):
        # What it answers has the same bytes in every run. The free memory is still looked for,
        # which is what its resource costs.
        current_time = 1767225600
        memory_total = 128

        def memory_free(self):
            Device.memory_free(self)
            return 96

    wire, back, rand = Wire(), Wire(), _count()

    def secure(security, keys):
        return Account(keys.master_secret, keys.sender_id, keys.recipient_id, random=rand)

    def accept(request, peer, responder):
        return m.Message(m.CREATED).add(m.LOCATION_PATH, "rd").add(m.LOCATION_PATH, "1")

    client = Client("dev", secure=secure, log=lambda text: None, random=rand)
    client.connect = lambda account: True
    client.disconnect = lambda account: None
    client.model.define(OSCORE)
    client.add(Fixed(manufacturer="Open Mobile Alliance", firmware_version="1.0"))
    client.add(Temperature())
    security = {0: "coap://127.0.0.1", 1: False, 2: 3, 10: 1}
    if sealed:
        security[17] = (21, 0)
    keys = {0: SECRET, 1: b"\x01", 2: b"\x02"}
    client.load({0: {0: security}, 1: {0: {0: 1, 1: 300}}, 21: {0: keys}})
    account = client.accounts[0]
    account.attach(wire, PEER)
    server = Account(SECRET, b"\x02", b"\x01", random=_count(30000)) if sealed else None
    endpoint = Endpoint(back.sendto, rand, accept, server)
    for _ in range(8):
        account.poll(client.now())
        data, wire.out = wire.out, None
        if data is not None:
            endpoint.receive(bytes(data), PEER, 0)
        data, back.out = back.out, None
        if data is not None:
            account.endpoint.receive(bytes(data), PEER, client.now())
    if not account.location:
        raise RuntimeError(account.status())
    return client, account, server, wire


def reads(account, server, path, accept):
    """prepare() of Reads: the next sealed (server not None) or plain datagram."""
    import coap.message as m

    now = account.client.now()
    number = [1000]
    request = _get(path, accept)

    def prepare(i):
        number[0] += 1
        mid = number[0] & 0xFFFF
        outer = request if server is None else server.seal_request(request)[0]
        return bytes(m.pack(outer, m.CON, mid, mid.to_bytes(2, "big"))), PEER, now

    return prepare


def _answered(account, wire, prepare, sealed=False):
    # What is measured has to be an answer, and no error.
    import coap.message as m

    wire.out = None
    account.endpoint.receive(*prepare(0))
    code = m.decode(bytes(wire.out)).code
    if code != (m.CHANGED if sealed else m.CONTENT) or account.endpoint.counters.errors:
        raise RuntimeError("answered " + m.describe(code))


# The Read that is compared with aiocoap's
READ = "sealed Read of /3/0/0, SENML_CBOR"


def device():
    _, account, server, wire = registered()
    out = []
    for path, ct, name in (
        ((3, 0, 0), 112, "SENML_CBOR"),
        ((3, 0, 0), 0, "TEXT"),
        ((3, 0, 0), 60, "CBOR"),
        ((3, 0, 0), 110, "SENML_JSON"),
        ((3, 0, 0), 11542, "TLV"),
        ((3, 0), 112, "SENML_CBOR"),
        ((3, 0), 11544, "LWM2M_CBOR"),
    ):
        name = "sealed Read of /%s, %s" % ("/".join([str(n) for n in path]), name)
        prepare = reads(account, server, path, ct)
        _answered(account, wire, prepare, sealed=True)
        out.append((name, 50, account.endpoint.receive, prepare))
    return out


def plain():
    _, account, _, wire = registered(sealed=False)
    prepare = reads(account, None, (3, 0, 0), 112)
    _answered(account, wire, prepare)
    return [("plain Read of /3/0/0, SENML_CBOR", 40, account.endpoint.receive, prepare)]


GROUPS = {
    "ccm": ccm,
    "hkdf": hkdf,
    "coap": coap,
    "oscore": oscore,
    "formats": formats,
    "device": device,
    "plain": plain,
}

# --- measuring

_WARM = 10  # calls until caches of our own, as that of duplicates, are full
_KEPT = 20  # calls over which what is kept is counted


def heap(run, prepare):
    """(bytes that one call allocates, bytes that are still there after _KEPT calls)."""
    for i in range(_WARM):
        run(*prepare(i))
    args = [prepare(i) for i in range(_KEPT + 1)]
    gc.collect()
    gc.disable()
    a = gc.mem_alloc()
    run(*args[0])
    b = gc.mem_alloc()
    gc.enable()
    gc.collect()
    a, before = b - a, gc.mem_alloc()
    for i in range(_KEPT):
        run(*args[i + 1])
    gc.collect()
    return a, gc.mem_alloc() - before


def _empty(*args):
    pass


class Instructions:
    """The clock of a board in QEMU, which counts them: 1,024 ns each of the emulator's time."""

    def __init__(self):
        from qport import HZ, ticks

        self.hz, self.ticks = HZ, ticks

    def __call__(self, run, args):
        ticks = self.ticks
        gc.collect()
        gc.disable()
        start = ticks()
        run(*args)
        end = ticks()
        gc.enable()
        return (end - start) & 0x3FFFFFFF

    def of(self, ticks):
        return (ticks * 1000000000 + self.hz * 512) // (self.hz * 1024)


_CSR, _RVR, _CVR = 0xE000E010, 0xE000E014, 0xE000E018
_WRAPPED = 1 << 16


class Cycles:
    """SysTick of the Pico's core, at the core's clock: 24 bits that count down. No interrupt
    comes between, neither USB's nor a timer's."""

    def __init__(self):
        import machine

        self.machine = machine
        machine.mem32[_RVR] = 0xFFFFFF
        machine.mem32[_CSR] = 5  # on, by the core's clock, without its interrupt

    def __call__(self, run, args):
        mem32 = self.machine.mem32
        gc.collect()
        gc.disable()
        state = self.machine.disable_irq()
        try:
            for _ in range(8):
                pass  # here the interpreter does what an interrupt has left to it
            mem32[_CVR] = 0
            mem32[_CSR]  # reading forgets that it has wrapped
            start = mem32[_CVR]
            run(*args)
            end = mem32[_CVR]
            wrapped = mem32[_CSR] & _WRAPPED
        finally:
            self.machine.enable_irq(state)
            gc.enable()
        if wrapped:
            raise ValueError("more cycles than the counter holds")
        return start - end

    def of(self, ticks):
        return ticks


def cost(measure, run, prepare):
    """What one call takes, without the call itself."""
    # Nothing that is prepared goes unused: to a replay window it would be a message that is missing.
    args = prepare(0)
    ticks = measure(run, args)
    measure(_empty, args)
    return measure.of(ticks - measure(_empty, args))


def count(group):
    """Print a line for each case of a group: name, instructions, bytes allocated and kept."""
    measure = Instructions()
    for name, _, run, prepare in GROUPS[group]():
        allocated, kept = heap(run, prepare)
        print("=", name, cost(measure, run, prepare), allocated, kept, sep="\t")
        gc.collect()


def cycles(group):
    """Print a line for each case of a group: name, cycles."""
    measure = Cycles()
    for name, _, run, prepare in GROUPS[group]():
        for i in range(_WARM):
            run(*prepare(i))
        print("=", name, cost(measure, run, prepare), sep="\t")
        gc.collect()


def rounds(group):
    """On the unix port: for each line of input run one round and print the time of a call, in
    ns, for each case; first the names with bytes allocated and kept."""
    import sys
    import time

    cases = GROUPS[group]()
    for name, _, run, prepare in cases:
        print("=", name, *heap(run, prepare), sep="\t")
    print(".")
    while sys.stdin.readline():
        for _, calls, run, prepare in cases:
            args = [prepare(i) for i in range(calls)]
            gc.collect()
            start = time.ticks_us()
            for a in args:
                run(*a)
            print(time.ticks_diff(time.ticks_us(), start) * 1000 // calls)
            args = a = None
