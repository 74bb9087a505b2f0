# Beside pass: what may be found is told, and the run is as expected where it proves all the rest.
promise loss
may lost
0.100 outstanding 5
0.100 send app/0..4 before
0.200 ok app/0..4 n1 orders@0 before
20.000 log app/0..3 orders@0
21.000 drained orders 1
21.000 drained jobs 1
