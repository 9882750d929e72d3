def discount(total):
    return total * 0.9 if total > 100 else total


def checkout(order):
    total = sum(order.values())
    return discount(total)
