"""Network addresses that say something: read in one form, without those of the centre's whitelist (rulings G25)."""

import datetime as dt
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import polars as pl

from features.derive.configured import LIST, listed
from features.errors import CatalogueError
from features.tables.source import SourceTables

WHITELIST = "ip_whitelist"


def usable_addresses(texts: pl.Series, source: SourceTables, as_of: dt.datetime) -> pl.DataFrame:
    """Return value and address of each text that is an address outside the whitelist; IPv4 in IPv6 is IPv4.

    Raises:
        CatalogueError: an entry of the whitelist is neither address nor network.
    """
    generic = [network(entry) for entry in listed(source, WHITELIST, as_of)]
    found = [(text, address) for text in texts if (address := _address(text)) is not None]
    outside = [(text, str(address)) for text, address in found if not any(address in one for one in generic)]
    return pl.DataFrame(outside, schema={"value": pl.String, "address": pl.String}, orient="row")


def network(entry: str) -> IPv4Network | IPv6Network:
    """Read an entry of the whitelist: an address or a network.

    Raises:
        CatalogueError: it is neither.
    """
    try:
        return ip_network(entry, strict=False)
    except ValueError as error:
        message = f"{LIST}{WHITELIST} has {entry!r}, which is neither address nor network. Mend: change it anew."
        raise CatalogueError(message) from error


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped
