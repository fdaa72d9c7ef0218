metadata(
    version="0.1.0",
    description="CoAP client and server in one endpoint: block-wise, observe, a hook for OSCORE.",
)

package("coap", opt=3)
