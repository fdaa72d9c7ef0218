metadata(description="Small records in flash that survive a power cut.")

package("flashstore", opt=3)
