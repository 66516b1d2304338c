"""A cluster of several machines on this one: each a raylet at a loopback address of its own."""

import os
import secrets
from contextlib import contextmanager

import psutil

from pipeline.compute.cluster import ADDRESS, SETTINGS
from tests.support.closure import ROOT

HEAD = "127.0.0.2"


class Raylets:
    """The machines of a cluster; the head does no work.

    Args:
        cluster: Of `ray.cluster_utils`.
    """

    def __init__(self, cluster):
        self._cluster = cluster
        self._made = 0
        self.nodes = []
        self.harmed = set()
        """Machines that were sent a signal."""

    @property
    def address(self):
        return self._cluster.address

    def add(self, *, cpus=1, **environment):
        """Start a machine; give its handle and its address."""
        self._made += 1
        host = f"127.0.0.{2 + self._made}"
        node = self._cluster.add_node(
            num_cpus=cpus,
            node_ip_address=host,
            object_store_memory=80 << 20,
            env_vars={"PYTHONPATH": str(ROOT), **environment},
        )
        self.nodes.append(node)
        return node, host

    def remove(self, node):
        """End a machine, frozen or not."""
        self.nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)

    @staticmethod
    def processes(node):
        """Give all processes of a machine: the raylet, its agents, its workers, and theirs."""
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        return [raylet, *raylet.children(recursive=True)]

    def send(self, node, signum):
        self.harmed.add(node)
        for each in self.processes(node):
            os.kill(each.pid, signum)


@contextmanager
def running_cluster():
    """Start the head of a cluster, and let RAY_ADDRESS name it."""
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    before = dict(os.environ)
    os.environ.update(SETTINGS | token)
    try:
        import ray
        from ray.cluster_utils import Cluster

        cluster = Cluster()
        try:
            cluster.add_node(
                num_cpus=0,
                node_ip_address=HEAD,
                include_dashboard=False,
                object_store_memory=80 << 20,
            )
            os.environ[ADDRESS] = cluster.address
            yield Raylets(cluster)
        finally:
            ray.shutdown()
            cluster.shutdown()
    finally:
        os.environ.clear()
        os.environ.update(before)
