"""The sentence: a webhook comes in, is verified, recorded, decided, redacted, delivered - and can be shown."""
