/* What `order: {by, at, producers}` asks for: the arguments of its checker. */
#ifndef ASSAY_CHECKERS_ORDER_H
#define ASSAY_CHECKERS_ORDER_H

enum order_by { BY_PARTITION, BY_KEY };
enum order_at { AT_LOG, AT_DELIVERY, AT_EFFECT };
enum order_producers { EACH_PRODUCER, ALL_PRODUCERS };

struct order_args {
    int by, at, producers;
};

#endif
