import time

import shop

for number in range(1000):
    shop.checkout({"keyboard": 89.9, "mouse": 10.0 + number})
    time.sleep(0.5)
