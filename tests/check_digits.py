"""Check digits worked out here on their own, so that tests do not believe the library that the product uses."""


def credit_code(seventeen: str) -> str:
    """Complete a credit code by its check digit (GB 32100)."""
    alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    total = sum(alphabet.index(one) * pow(3, place, 31) for place, one in enumerate(seventeen))
    return seventeen + alphabet[(31 - total % 31) % 31]


def identity_number(seventeen: str) -> str:
    """Complete an identity number by its check digit (GB 11643)."""
    total = sum(int(one) * pow(2, 17 - place, 11) for place, one in enumerate(seventeen))
    return seventeen + "10X98765432"[total % 11]
