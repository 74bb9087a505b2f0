/* rabbitmq-c's headers: since 0.12 they lie in a folder of their own, and the old names warn. */
#ifndef ASSAY_SYSTEMS_RABBITMQ_LIBRARY_H
#define ASSAY_SYSTEMS_RABBITMQ_LIBRARY_H

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_tcp_socket.h>
#endif

#endif
