#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"

struct item {
    char name;
    struct list node;
};

static void read_names(const struct list *head, char *names)
{
    LIST_FOREACH (it, head)
        *names++ = LIST_ENTRY(it, struct item, node)->name;
    *names = '\0';
}

static void items_stand_in_the_order_of_appending(void **state)
{
    struct item a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};
    struct list head;
    char names[8];
    list_init(&head);
    assert_true(list_empty(&head));
    assert_null(list_first(&head));
    list_append(&head, &a.node);
    list_append(&head, &b.node);
    list_append(&head, &c.node);
    read_names(&head, names);
    assert_string_equal(names, "abc");
    assert_ptr_equal(list_first(&head), &a.node);
    assert_false(list_empty(&head));
}

static void removing_an_item_leaves_the_others_and_may_be_repeated(void **state)
{
    struct item a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};
    struct list head;
    char names[8];
    list_init(&head);
    list_append(&head, &a.node);
    list_append(&head, &b.node);
    list_append(&head, &c.node);
    list_remove(&b.node);
    list_remove(&b.node);
    read_names(&head, names);
    assert_string_equal(names, "ac");
    assert_false(list_linked(&b.node));
    assert_true(list_linked(&a.node));
    list_append(&head, &b.node);
    read_names(&head, names);
    assert_string_equal(names, "acb");
}

static void the_item_at_hand_may_be_removed_while_walking(void **state)
{
    struct item items[6] = {0};
    struct list head;
    char names[8];
    list_init(&head);
    for (int i = 0; i < 6; i++) {
        items[i].name = (char)('a' + i);
        list_append(&head, &items[i].node);
    }
    LIST_FOREACH_SAFE (it, &head) {
        if (LIST_ENTRY(it, struct item, node)->name % 2)
            list_remove(it);
    }
    read_names(&head, names);
    assert_string_equal(names, "bdf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_stand_in_the_order_of_appending),
        cmocka_unit_test(removing_an_item_leaves_the_others_and_may_be_repeated),
        cmocka_unit_test(the_item_at_hand_may_be_removed_while_walking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
