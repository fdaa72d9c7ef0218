metadata(description="HMAC and HKDF with SHA-256 over hashlib.")

package("hkdf", opt=3)
