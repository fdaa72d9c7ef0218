metadata(description="AES-CCM over cryptolib.")

package("aesccm", opt=3)
