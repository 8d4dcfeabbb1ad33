"""The broker that the suite talks to runs already. The source package leaves this module of the suite out."""


class ExternalService:
    """A broker that somebody else started and ends."""

    def __init__(self, host, port):
        self.host = host
        self.port = port

    def open(self):
        pass

    def close(self):
        pass

    def stop(self):
        pass

    def dump_logs(self):
        pass

    def wait_for(self, pattern, timeout=None):
        return True


class SpawnedService:
    """Not offered: no test starts a broker of its own."""

    def __init__(self, *_, **__):
        raise RuntimeError("the broker runs already")
