# What a firmware of ours freezes: all of lib/ and the device program.
# MIT license; Copyright (c) 2026 the microlwm2m authors
#
# A board's manifest includes the port's own manifest first, or _boot.py and
# asyncio go missing, then this one:
#     include("$(PORT_DIR)/boards/manifest.py")
#     include("/path/to/microlwm2m/firmware/manifest.py")

# No manifest of lib/ says a version: MicroPython would write it into every module, 8 bytes of
# heap each. It stands in package.json, and in lwm2m.__version__.
add_library("microlwm2m", "../lib", prepend=True)

for _name in ("cbor", "aesccm", "hkdf", "coap", "oscore", "flashstore", "lwm2m"):
    require(_name, library="microlwm2m")

# A main.py frozen here would win over one on the board's filesystem: whether the
# program starts by itself is the product's decision.
module("lwm2m_product.py", base_path="modules", opt=3)
module("lwm2m_app.py", base_path="modules", opt=3)
module("lwm2m_begin.py", base_path="modules", opt=3)
module("lwm2m_flash.py", base_path="modules", opt=3)
module("lwm2m_hooks.py", base_path="modules", opt=3)
module("lwm2m_restart.py", base_path="modules", opt=3)
module("lwm2m_setup.py", base_path="modules", opt=3)
