metadata(description="CoAP: client and server in one endpoint, block-wise, observe.")

package("coap", opt=3)
