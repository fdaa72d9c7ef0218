metadata(description="CBOR reader and writer over buffers.")

package("cbor", opt=3)
