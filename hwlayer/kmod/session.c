// SPDX-License-Identifier: GPL-2.0
/* One user, from open to release, or until the card is taken away. */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/poll.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "internal.h"

static void hailo_session_free(struct kref *ref)
{
	struct hailo_session *s = container_of(ref, struct hailo_session, ref);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(s->dead); i++)
		if (s->dead[i])
			__free_page(s->dead[i]);
	xa_destroy(&s->areas);
	iput(s->inode);
	mmdrop(s->mm);
	put_pid(s->owner);
	hailo_card_put(s->card);
	kfree(s);
}

void hailo_revoke(struct hailo_card *card)
{
	struct hailo_session *s;

	mutex_lock(&card->lock);
	s = card->session;
	if (!s) {
		hailo_stop(card);
		mutex_unlock(&card->lock);
		return;
	}
	kref_get(&s->ref);
	WRITE_ONCE(s->live, false);
	mutex_unlock(&card->lock);

	/*
	 * First the registers: a user that goes on serving interrupts would take the firmware's
	 * acknowledge for its own.  An mmap() that still found the session alive has its mapping in
	 * the tree when it drops this lock.
	 */
	mmap_read_lock(s->mm);
	mmap_read_unlock(s->mm);
	unmap_mapping_range(s->mapping, 0, 0, 1);

	mutex_lock(&card->lock);
	hailo_stop(card);
	hailo_irq_off(s);
	hailo_areas_free(s);
	card->session = NULL;
	mutex_unlock(&card->lock);
	wake_up_interruptible(&s->wait);
	kref_put(&s->ref, hailo_session_free);
}

static struct hailo_session *hailo_session_new(struct hailo_card *card, struct file *file)
{
	struct hailo_session *s = kzalloc(sizeof(*s), GFP_KERNEL);
	unsigned int i;

	if (!s)
		return NULL;
	kref_init(&s->ref);
	kref_get(&card->ref);
	s->card = card;
	s->owner = get_pid(task_tgid(current));
	s->mm = current->mm;
	mmgrab(s->mm);
	s->inode = file_inode(file);
	ihold(s->inode);
	s->mapping = file->f_mapping;
	xa_init_flags(&s->areas, XA_FLAGS_ALLOC);
	init_waitqueue_head(&s->wait);
	for (i = 0; i < ARRAY_SIZE(s->dead); i++) {
		s->dead[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!s->dead[i]) {
			kref_put(&s->ref, hailo_session_free);
			return NULL;
		}
		if (i != HAILO_DEAD_DMA)
			memset(page_address(s->dead[i]), 0xff, PAGE_SIZE);
	}
	return s;
}

static int hailo_open(struct inode *inode, struct file *file)
{
	struct hailo_card *card = container_of(file->private_data, struct hailo_card, misc);
	struct hailo_session *s;
	int r = 0;

	if (!current->mm)
		return -EINVAL;
	s = hailo_session_new(card, file);
	if (!s)
		return -ENOMEM;
	mutex_lock(&card->lock);
	if (card->gone) {
		r = -ENODEV;
	} else if (card->session) {
		r = -EBUSY;
	} else {
		hailo_set_master(card, false);
		s->live = true;
		card->session = s;
		file->private_data = s;
	}
	mutex_unlock(&card->lock);
	if (r) {
		kref_put(&s->ref, hailo_session_free);
		return r;
	}
	return stream_open(inode, file);
}

/* The last descriptor and the last mapping are gone: the end of a process comes here too. */
static int hailo_release(struct inode *inode, struct file *file)
{
	struct hailo_session *s = file->private_data;
	struct hailo_card *card = s->card;

	mutex_lock(&card->lock);
	if (s->live) {
		s->live = false;
		hailo_stop(card);
		hailo_irq_off(s);
		hailo_areas_free(s);
		card->session = NULL;
	}
	mutex_unlock(&card->lock);
	kref_put(&s->ref, hailo_session_free);
	return 0;
}

static ssize_t hailo_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	struct hailo_session *s = file->private_data;
	u64 n;
	int r;

	if (len < sizeof(n))
		return -EINVAL;
	while (READ_ONCE(s->live)) {
		n = atomic64_xchg(&s->interrupts, 0);
		if (n)
			return copy_to_user(buf, &n, sizeof(n)) ? -EFAULT : sizeof(n);
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		hailo_intx_unmask(s);
		r = wait_event_interruptible(s->wait,
					     atomic64_read(&s->interrupts) || !READ_ONCE(s->live));
		if (r)
			return r;
	}
	return -ENODEV;
}

static ssize_t hailo_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	struct hailo_session *s = file->private_data;
	u64 n;

	if (len < sizeof(n))
		return -EINVAL;
	if (copy_from_user(&n, buf, sizeof(n)))
		return -EFAULT;
	if (n > U32_MAX)
		return -EINVAL;
	if (!READ_ONCE(s->live))
		return -ENODEV;
	atomic64_add(n, &s->interrupts);
	wake_up_interruptible(&s->wait);
	return sizeof(n);
}

static __poll_t hailo_poll(struct file *file, poll_table *wait)
{
	struct hailo_session *s = file->private_data;

	poll_wait(file, &s->wait, wait);
	if (!atomic64_read(&s->interrupts))
		hailo_intx_unmask(s);
	if (!READ_ONCE(s->live))
		return EPOLLIN | EPOLLRDNORM | EPOLLERR | EPOLLHUP;
	return EPOLLOUT | EPOLLWRNORM |
	       (atomic64_read(&s->interrupts) ? EPOLLIN | EPOLLRDNORM : 0);
}

static void hailo_info(struct hailo_session *s, struct hailo_uio_info *q)
{
	struct pci_dev *pdev = s->card->pdev;
	unsigned int bar;

	*q = (struct hailo_uio_info){
		.version = HAILO_UIO_VERSION,
		.dma_limit = hailo_dma_limit(),
		.dma_bytes = s->dma_bytes,
	};
	if (s->irq_on)
		q->flags |= s->irq_msi ? HAILO_UIO_MSI : HAILO_UIO_INTX;
	if (pdev->reset_methods[0])
		q->flags |= HAILO_UIO_RESETTABLE;
	for (bar = 0; bar < ARRAY_SIZE(q->bar_size); bar++)
		if (hailo_bar_exists(bar))
			q->bar_size[bar] = pci_resource_len(pdev, bar);
}

static void hailo_config(struct hailo_session *s, struct hailo_uio_config *q)
{
	unsigned int i;

	for (i = 0; i < sizeof(q->bytes); i++)
		pci_read_config_byte(s->card->pdev, i, &q->bytes[i]);
}

/* Whatever an ioctl takes or gives. */
union hailo_argument {
	struct hailo_uio_info info;
	struct hailo_uio_config config;
	struct hailo_uio_dma dma;
	struct hailo_uio_sync sync;
	__u32 word;
};

static int hailo_command(struct hailo_session *s, unsigned int cmd, union hailo_argument *arg)
{
	switch (cmd) {
	case HAILO_UIO_INFO:
		hailo_info(s, &arg->info);
		return 0;
	case HAILO_UIO_CONFIG:
		hailo_config(s, &arg->config);
		return 0;
	case HAILO_UIO_DMA_ALLOC:
		return hailo_dma_alloc(s, &arg->dma);
	case HAILO_UIO_DMA_FREE:
		return hailo_dma_free(s, arg->word);
	case HAILO_UIO_DMA_SYNC:
		return hailo_dma_sync(s, &arg->sync);
	case HAILO_UIO_IRQ:
		if (arg->word > 1)
			return -EINVAL;
		if (arg->word)
			return hailo_irq_on(s);
		hailo_irq_off(s);
		return 0;
	case HAILO_UIO_BUS_MASTER:
		if (arg->word > 1)
			return -EINVAL;
		hailo_set_master(s->card, arg->word);
		return 0;
	case HAILO_UIO_RESET:
		/* Not the waiting kind: who unbinds the card holds its lock and waits for ours. */
		return pci_try_reset_function(s->card->pdev);
	default:
		return -ENOTTY;
	}
}

static long hailo_ioctl(struct file *file, unsigned int cmd, unsigned long user)
{
	struct hailo_session *s = file->private_data;
	unsigned int size = _IOC_SIZE(cmd);
	union hailo_argument arg = {};
	int r = -ENODEV;

	if (size > sizeof(arg))
		return -ENOTTY;
	if ((_IOC_DIR(cmd) & _IOC_WRITE) && copy_from_user(&arg, (void __user *)user, size))
		return -EFAULT;
	mutex_lock(&s->card->lock);
	if (s->live)
		r = hailo_command(s, cmd, &arg);
	mutex_unlock(&s->card->lock);
	if (r == 0 && (_IOC_DIR(cmd) & _IOC_READ) && copy_to_user((void __user *)user, &arg, size))
		return -EFAULT;
	return r;
}

const struct file_operations hailo_fops = {
	.owner = THIS_MODULE,
	.open = hailo_open,
	.release = hailo_release,
	.read = hailo_read,
	.write = hailo_write,
	.poll = hailo_poll,
	.unlocked_ioctl = hailo_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = hailo_mmap,
	.llseek = noop_llseek,
};
