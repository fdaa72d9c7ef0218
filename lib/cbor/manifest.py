metadata(version="0.1.0", description="CBOR reader and writer over buffers.")

package("cbor", opt=3)
