"""Values of metrics, as `/metrics` shows them."""

from project.observability.metrics import meters


def counted(name: str, *labels: str) -> float:
    """The value of a counter with these label values over all processes; 0 if it does not exist."""
    meters.flush()
    (family,) = [family for family in meters.families() if family.name == name]
    return sum(sample.value for sample in family.samples if tuple(sample.labels.values()) == labels)
