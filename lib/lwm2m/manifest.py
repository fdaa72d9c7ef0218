metadata(description="LwM2M client: data model, formats, registration, reporting.")
require("cbor")
require("coap")
package("lwm2m", opt=3)
