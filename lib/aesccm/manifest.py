metadata(version="0.1.0", description="AES-CCM over cryptolib.")

package("aesccm", opt=3)
