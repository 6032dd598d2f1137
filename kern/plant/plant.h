/* Private to kern/plant: which fault plant= asks for. */
#pragma once

#include <base/attrs.h>

struct task;

bool plant_is(const char *name);
/* As plant_is(), once: a fault is planted one time. */
bool plant_once(const char *name);
void plant_broken(struct task *self);	/* those of broken.c, where sync(2) is called */
