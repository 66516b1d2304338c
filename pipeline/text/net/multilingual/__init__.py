"""The multilingual Universal Sentence Encoder."""
