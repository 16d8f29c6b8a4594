"""Gateway drivers, one file for each kind. A new one is a new file: it describes itself, and is found here."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Final

from campaigns.gateways.protocol import Driver


def _drivers() -> dict[str, type[Driver]]:
    """The driver classes in the modules of this package, by kind."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, type)]
    return {driver.kind: driver for driver in found if issubclass(driver, Driver) and driver is not Driver}


DRIVERS: Final = _drivers()
ADDABLE: Final = {kind: driver for kind, driver in sorted(DRIVERS.items()) if driver.addable and not driver.described}
"""Those that administrators may choose for a gateway of their own."""
