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
    "api.routes": ("可读取的内容", "What can be read"),
    "api.route.passages": (
        "自 since 起、until 之前开始的过卡，最近的在前",
        "Opened from since and before until, latest first",
    ),
    "api.route.passages/{device}/{passage}": (
        "此编号的一次过卡；同一编号有数次时返回 300 和各流水期",
        "The passage of this number; where several have it, 300 and the epochs to ask by",
    ),
    "api.route.passages/{device}/{passage}/facts": (
        "此编号过卡的全部记录；同一编号有数次时返回 300 和各流水期",
        "All facts of the passage of this number; where several have it, 300 and the epochs to ask by",
    ),
    "api.route.passages/{device}/{epoch}/{passage}": (
        "一次过卡：设备、开始时的流水期、编号",
        "One passage: device, the epoch it was opened in, and number",
    ),
    "api.route.passages/{device}/{epoch}/{passage}/facts": (
        "该次过卡的全部记录，按设备自身顺序，最多 1,000 条；重发的只列一次",
        "All facts of it, in the device's own order, at most 1,000; what was issued again stands once",
    ),
    "api.route.facts/{device}/{epoch}/{stream}/{seq}": ("按标识读取一条记录", "One fact by its identity"),
    "api.route.parcels/{waybill_no}": ("一个包裹在各处的最后结论", "The last words on a parcel, one a place"),
    "api.route.mentions": ("提及某名称的记录，最近的在前", "Facts that name it, latest first"),
    "api.route.alarms": (
        "设备与中心的报警及处理人，最近的在前",
        "Of devices and the hub, latest first, each with who has it in hand",
    ),
    "api.route.devices": (
        "各设备最后状态、已存记录数、现有车辆或包裹",
        "Each with its last status, how much of it is stored, and what stands at it now",
    ),
    "api.route.tallies": (
        "页面所示各项计数；含义见 /api/v1/meanings；按小时最多 31 天",
        "Counts as pages show them; /api/v1/meanings says what each is. At most 31 days by the hour",
    ),
    "api.route.statistics": (
        "统计页各表，数值不取整",
        "The tables of the statistics page, numbers unrounded",
    ),
    "api.route.meanings": ("/tallies 各项计数的含义", "What each count of /tallies means"),
}
