"""Ports that belong to services which are not web servers; a POST there can only do harm."""

MAX_PORT = 65_535

_MAIL = "mail"
_FILES = "file transfer or sharing"
_LOGIN = "remote login or desktop"
_NAMES = "names, directory or sign-on"
_NETWORK = "network control or small service"
_CHAT = "chat, news or telephony"
_DATABASE = "database or cache"
_QUEUE = "message broker"
_CONTROL = "cluster or machine control"
_PROXY = "proxy that would carry the request on"

# What browsers refuse (WHATWG Fetch, "bad port"), and the stores, brokers and control planes that stand in the
# networks around a dispatcher. Nothing from 32,768 up: those are the ephemeral ports of Linux.
_ROWS: tuple[tuple[str, tuple[int, ...]], ...] = (
    (_MAIL, (24, 25, 109, 110, 143, 465, 587, 993, 995, 2525, 4190)),
    (_FILES, (20, 21, 69, 115, 137, 138, 139, 152, 445, 515, 548, 631, 873, 989, 990, 2049, 3260, 4045, 6566, 10080)),
    (_LOGIN, (22, 23, 87, 107, 177, 512, 513, 514, 992, 3389, 5900, 5901, 5902, 5903, 5985, 5986, 6000, 6001)),
    (_NAMES, (42, 43, 53, 79, 88, 101, 105, 111, 113, 117, 135, 389, 464, 530, 593, 636, 749, 853, 3268, 3269)),
    (_NETWORK, (1, 7, 9, 11, 13, 15, 17, 19, 37, 67, 68, 77, 95, 102, 103, 104, 123, 161, 162, 179, 427, 500)),
    (_NETWORK, (520, 526, 540, 556, 563, 601, 666, 1723, 1812, 1813, 4500)),
    (_CHAT, (119, 194, 433, 531, 532, 554, 1719, 1720, 3478, 3659, 5060, 5061, 5222, 5269, 5349)),
    (_CHAT, (6665, 6666, 6667, 6668, 6669, 6679, 6697)),
    (_DATABASE, (118, 1433, 1434, 1521, 1526, 2424, 2483, 2484, 3050, 3306, 3307, 5432, 5433, 5984, 6379, 6380, 6432)),
    (_DATABASE, (7000, 7199, 7473, 7474, 7687, 8086, 8087, 8091, 9042, 9160, 9200, 9300, 11210, 11211, 11214)),
    (_DATABASE, (16379, 26257, 26379, 27017, 27018, 27019, 28015, 28017)),
    (_QUEUE, (1414, 1883, 4222, 5671, 5672, 6222, 8222, 8883, 9092, 9093, 15672, 25672)),
    (_CONTROL, (623, 902, 1099, 2181, 2375, 2376, 2377, 2379, 2380, 2888, 3888, 4001, 4369, 4505, 4506, 4646, 4647)),
    (_CONTROL, (6443, 7946, 8125, 8200, 8201, 8300, 8301, 8302, 8500, 8501, 8600, 10250, 10255, 10256, 10257, 10259)),
    (_PROXY, (1080, 3128, 9050, 9051)),
)

SERVICE_PORTS: dict[int, str] = {port: reason for reason, ports in _ROWS for port in ports}
