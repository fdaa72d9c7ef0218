# The minimal profile, in place of manifest.py: factory bootstrap, servers over OSCORE, CBOR and
# SenML CBOR, observe; for a port with cryptolib and hashlib.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# A request for a format that is left out is answered 4.06 or 4.15, a Create, a Delete, a Discover, a
# Write-Attributes or a composite operation 4.05, an Execute with arguments 4.00, a request in blocks
# 4.02, and provisioning refuses coaps://, --bootstrap and --restart b1: keys are agreed on anew at
# each start. A server that itself begins to agree on keys is answered 4.01. Without blocks an answer, or
# the list of objects, goes in one message of at most 1,024 bytes; a longer answer becomes a 5.00.
# What provisioning has checked is not checked again at each start.
# Leave out less where the product needs it: the list is all there is to it.

import os

LEFT_OUT = (
    "aesccm/viper.py",
    "cbor/items.py",
    "cbor/seldom.py",
    "coap/__init__.py",
    "coap/aio.py",
    "coap/block.py",
    "coap/dtls.py",
    "coap/message.py",
    "coap/observing.py",
    "coap/outer.py",
    "coap/rare.py",
    "flashstore/nvs.py",
    "hkdf/viper.py",
    "lwm2m/arguments.py",
    "lwm2m/attributes.py",
    "lwm2m/bootstrap.py",
    "lwm2m/checking.py",
    "lwm2m/composite.py",
    "lwm2m/creating.py",
    "lwm2m/discover.py",
    "lwm2m/dtls.py",
    "lwm2m/formats/link.py",
    "lwm2m/formats/lwm2m_cbor.py",
    "lwm2m/formats/oma_json.py",
    "lwm2m/formats/opaque.py",
    "lwm2m/formats/paths.py",
    "lwm2m/formats/senml_json.py",
    "lwm2m/formats/text.py",
    "lwm2m/formats/texts.py",
    "lwm2m/formats/tlv.py",
    "lwm2m/objects/__init__.py",
    "lwm2m/objects/temperature.py",
    "oscore/__init__.py",
    "oscore/answer.py",
    "oscore/contexts.py",
    "oscore/keep.py",
    "oscore/proxy.py",
    "oscore/record.py",
    "oscore/settings.py",
)

for _name in ("cbor", "aesccm", "hkdf", "coap", "oscore", "flashstore", "lwm2m"):
    _root = "../lib/%s/%s" % (_name, _name)
    _files = [
        os.path.relpath(os.path.join(folder, file), _root)
        for folder, _, files in sorted(os.walk(_root))
        for file in sorted(files)
        if file.endswith(".py")
    ]
    package(
        _name,
        files=[file for file in _files if "%s/%s" % (_name, file) not in LEFT_OUT],
        base_path="../lib/" + _name,
        opt=3,
    )

# Your lwm2m_product.py may take the place of this one.
module("lwm2m_product.py", base_path="minimal", opt=3)
for _name in ("app", "begin", "flash", "hooks", "restart", "setup"):
    module("lwm2m_%s.py" % _name, base_path="modules", opt=3)
