metadata(
    description="OSCORE (RFC 8613): security contexts, sealed CoAP messages, Appendix B.1 and B.2.",
)

require("aesccm")
require("hkdf")
require("coap")

package("oscore", opt=3)
