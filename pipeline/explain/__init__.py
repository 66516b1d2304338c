"""Why a model answers as it does, and how far its answers can be trusted."""
