/* See rd.h. */
#include "rd.h"
