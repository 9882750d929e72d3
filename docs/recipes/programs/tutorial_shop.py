import time


def discount(total):
    return total * 0.9 if total > 100 else total


def checkout(order):
    total = sum(order.values())
    return discount(total)


for number in range(1000):
    checkout({"keyboard": 89.9, "mouse": 10.0 + number})
    time.sleep(0.5)
