"""Values of params.yaml that data choose: tried on a sample of train, before anything is built."""
