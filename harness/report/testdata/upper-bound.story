# One is lost, and another destination was never read to its end: how many at most is not known.
promise loss
expect fail lost <= 5
0.100 send app/0..4 before
0.200 ok app/0..4 n1 orders@0 before
20.000 log app/0..3 orders@0
21.000 drained orders 1
