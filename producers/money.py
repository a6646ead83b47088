"""Money in minor units. Source: ISO 4217, active codes and their exponents."""

from decimal import Decimal

from schemas.errors import InvalidEventError

_TWO_DIGITS = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC "
    "CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES "
    "KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR "
    "NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT "
    "TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
)
_NO_DIGIT = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE_DIGITS = "BHD IQD JOD KWD LYD OMR TND"
EXPONENTS = (
    dict.fromkeys(_TWO_DIGITS.split(), 2)
    | dict.fromkeys(_NO_DIGIT.split(), 0)
    | dict.fromkeys(_THREE_DIGITS.split(), 3)
)
"""Currency -> decimals of its minor unit."""
_MAX_MINOR = 10**18


def check_currency(currency: str) -> str:
    """Return the currency if it is an active one. Raises InvalidEventError."""
    if currency not in EXPONENTS:
        raise InvalidEventError(
            "bad_currency", "order.currency", f"{currency!r} is no ISO 4217 code", "write EUR, CHF, ..."
        )
    return currency


def check_minor(amount_minor: int) -> int:
    """Return an amount in minor units if it is a possible one. Raises InvalidEventError."""
    if abs(amount_minor) > _MAX_MINOR:
        raise InvalidEventError("bad_amount", "order.amount_minor", "is too large")
    return amount_minor


def to_minor(amount: Decimal, currency: str) -> int:
    """Return an amount of major units (12.50) in minor units (1250), exactly. Raises InvalidEventError."""
    exponent = EXPONENTS[check_currency(currency)]
    if not amount.is_finite() or amount.adjusted() > 15 or len(amount.as_tuple().digits) > 30:
        raise InvalidEventError("bad_amount", "order.amount", "is no amount of money")
    minor = amount.scaleb(exponent)
    if minor != minor.to_integral_value():
        raise InvalidEventError("bad_amount", "order.amount", f"has more than the {exponent} decimals of {currency}")
    return int(minor)
