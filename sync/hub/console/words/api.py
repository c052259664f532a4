"""Words of the page where programs get their tokens."""

WORDS = {
    "api.title": ("数据接口", "Read API"),
    "api.what": (
        "供其他系统只读访问；请求头 Authorization: Bearer 令牌。",
        "For other programs, read only; they send the header Authorization: Bearer TOKEN.",
    ),
    "api.tokens": ("令牌", "Tokens"),
    "api.none": ("尚无令牌", "None yet"),
    "api.name": ("系统名称", "Program"),
    "api.days": ("有效天数", "Days"),
    "api.make": ("生成令牌", "Make a token"),
    "api.made": ("新令牌", "New token"),
    "api.once": ("仅显示这一次，请立即保存到该系统", "Shown this once: give it to the program now"),
    "api.made_by": ("生成人", "Made by"),
    "api.until": ("有效至", "Valid until"),
    "api.revoke": ("作废", "Revoke"),
    "api.revoked": ("已作废", "Revoked"),
    "api.over": ("已过期", "Over"),
    "api.refused": ("未生成：{0}", "Not made: {0}"),
}
